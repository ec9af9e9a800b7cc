"""Chunk maps: the same however the bytes arrive; nothing garbled is taken for one."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, ChunkMapInvalid, ChunkMapper, chunk_span, count
from registry_mesh.oci.span import Span
from tests.suites.bytes_of import pattern

DATA = pattern(2 * CHUNK + 77)


def map_of(data: bytes, cuts: list[int]) -> ChunkMap:
    mapper = ChunkMapper()
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        mapper.update(data[start:stop])
    return mapper.finish()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, len(DATA)), max_size=6), st.sampled_from([0, 1, CHUNK, 2 * CHUNK, len(DATA)]))
def test_any_pieces_give_the_same(cuts: list[int], size: int) -> None:
    data = DATA[:size]
    made = map_of(data, [cut for cut in cuts if cut <= size])
    chunks = [data[at : at + CHUNK] for at in range(0, size, CHUNK)]
    assert made == ChunkMap(size, b"".join(hashlib.sha256(chunk).digest() for chunk in chunks))
    assert all(made.proves(i, chunk) for i, chunk in enumerate(chunks))
    assert not any(made.proves(i, chunk[:-1] + bytes([chunk[-1] ^ 1])) for i, chunk in enumerate(chunks))
    assert ChunkMap.decode(made.encode(), size) == made
    assert ChunkMap.decode_size(made.encode()[:20]) == size


def test_resumed_mapper_goes_on() -> None:
    first = ChunkMapper()
    first.update(DATA[:CHUNK])
    second = ChunkMapper.resumed(first.sums)
    second.update(DATA[CHUNK:])
    assert second.finish() == map_of(DATA, [])


@given(st.binary(max_size=120))
def test_garbage_is_no_map(data: bytes) -> None:
    with pytest.raises(ChunkMapInvalid):
        ChunkMap.decode(data, 1)


def test_a_map_of_another_blob() -> None:
    encoded = map_of(DATA, []).encode()
    for wrong in (encoded[:-1], encoded + b"x", encoded[:5], b"X" + encoded[1:]):
        with pytest.raises(ChunkMapInvalid):
            ChunkMap.decode(wrong, len(DATA))
    with pytest.raises(ChunkMapInvalid):
        ChunkMap.decode(encoded, len(DATA) + 1)


@given(st.integers(0, 10 * CHUNK))
def test_chunks_cover_the_blob(size: int) -> None:
    spans = [chunk_span(i, size) for i in range(count(size))]
    assert sum(map(len, spans)) == size
    assert all(a.stop == b.start for a, b in itertools.pairwise(spans))
    assert not spans or (spans[0].start == 0 and spans[-1] == Span(spans[-1].start, size))
