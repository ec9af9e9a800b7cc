"""Chunk maps as bytes: of both versions, whole and in part; nothing garbled is taken for one."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK, PAGE, ChunkMap, ChunkMapInvalid, count, pages_over
from registry_mesh.chunks.map_format import BEGINNING, MapShape, decode, encode, encode_old, root
from registry_mesh.chunks.sums import SUM, SumAlgorithm
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from tests.suites.bytes_of import pattern
from tests.suites.chunk_maps import excerpt
from tests.suites.maps_of import map_of

DATA = pattern(2 * CHUNK + 77)
DIGEST = Digest.of(DATA)
GIB = 1 << 30
SIZES = [1, CHUNK, CHUNK * PAGE, CHUNK * PAGE + 1, 5 * CHUNK * PAGE + 9]


def of_size(size: int, algorithm: SumAlgorithm = SumAlgorithm.BLAKE3) -> ChunkMap:
    """A map with sums of nothing in particular."""
    return ChunkMap.of_sums(size, pattern(count(size) * SUM), algorithm)


@pytest.mark.parametrize("digest", [DIGEST, Digest.of(DATA, "sha512")])
@pytest.mark.parametrize("algorithm", list(SumAlgorithm))
@pytest.mark.parametrize("size", [0, *SIZES])
def test_what_is_encoded_is_decoded(size: int, algorithm: SumAlgorithm, digest: Digest) -> None:
    made = of_size(size, algorithm)
    encoded = encode(made, digest)
    assert decode(encoded, size, digest) == decode(encoded) == made
    shape = MapShape.read(encoded[:BEGINNING])
    assert (shape.size, shape.algorithm, shape.length) == (size, algorithm, len(encoded))
    for index in range(0, count(size), PAGE):
        at, length = shape.sums_of(range(index, index + 1))
        assert encoded[at : at + length] == made.sum(index).value


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SIZES), st.integers(0, 6 * CHUNK * PAGE), st.integers(0, 6 * CHUNK * PAGE))
def test_a_part_of_a_map_is_decoded(size: int, one: int, other: int) -> None:
    made, span = of_size(size), Span(min(one, other), max(one, other))
    part = decode(encode(made, DIGEST, span), size, DIGEST)
    assert set(part.pages) == set(pages_over(span, size))
    assert part.covers(span) and made.joined(part) == made
    assert root(part, DIGEST) == root(made, DIGEST)


def test_a_range_of_64_gib_needs_no_more_than_64_kib_of_its_map() -> None:
    """A page and the upper level; two pages where the range lies over their edge."""
    made = of_size(64 * GIB)
    assert len(encode(made, DIGEST)) > 16 << 20
    for start in (0, 40 * GIB + 12345, 64 * GIB - 65536):
        assert len(encode(made, DIGEST, Span(start, start + 65536))) < 49_400
    edge = 64 * CHUNK * PAGE
    assert len(encode(made, DIGEST, Span(edge - 5, edge + 65531))) <= 65_700


def test_version_1_is_read_and_written() -> None:
    sums = b"".join(hashlib.sha256(DATA[at : at + CHUNK]).digest() for at in range(0, len(DATA), CHUNK))
    old = b"RMCHUNK1" + CHUNK.to_bytes(4, "big") + len(DATA).to_bytes(8, "big") + sums
    made = map_of(DATA, SumAlgorithm.SHA256)
    assert decode(old, len(DATA), DIGEST) == made
    assert encode_old(made) == old
    shape = MapShape.read(old[:BEGINNING])
    assert (shape.size, shape.length, shape.sums_of(range(1, 3))) == (len(DATA), len(old), (52, 64))
    assert encode_old(map_of(DATA, SumAlgorithm.BLAKE3)) is None, "it cannot be told in version 1"
    assert encode_old(excerpt(of_size(2 * PAGE * CHUNK, SumAlgorithm.SHA256), Span(0, 1))) is None


@given(st.binary(max_size=120), st.sampled_from([b"", b"RMCHUNK1", b"RMCHUNK2"]))
def test_garbage_is_no_map(data: bytes, magic: bytes) -> None:
    with pytest.raises(ChunkMapInvalid):
        decode(magic + data, 1, DIGEST)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_map_with_a_wrong_byte_is_no_map_or_has_another_root(data: st.DataObject) -> None:
    """Whatever is changed in a map on its way, who knows the root sees it."""
    made = of_size(CHUNK * PAGE + 1)
    encoded = bytearray(encode(made, DIGEST))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(encoded), made.size, DIGEST)
    except ChunkMapInvalid:
        return
    assert found == made or root(found, DIGEST) != root(made, DIGEST)


def test_a_map_of_another_blob() -> None:
    for encoded in (encode(map_of(DATA), DIGEST), encode_old(map_of(DATA, SumAlgorithm.SHA256))):
        assert encoded is not None
        for wrong in (encoded[:-1], encoded + b"x", encoded[:5], b"X" + encoded[1:]):
            with pytest.raises(ChunkMapInvalid):
                decode(wrong, len(DATA))
        with pytest.raises(ChunkMapInvalid):
            decode(encoded, len(DATA) + 1)
    with pytest.raises(ChunkMapInvalid):
        decode(encode(map_of(DATA), DIGEST), len(DATA), Digest.of(b"another"))


def test_the_bytes_are_these() -> None:
    """Other programs read them."""
    encoded = encode(map_of(DATA, SumAlgorithm.SHA256), DIGEST)
    sums = b"".join(hashlib.sha256(DATA[at : at + CHUNK]).digest() for at in range(0, len(DATA), CHUNK))
    head = b"RMCHUNK2" + bytes([1, 17, 9, 32]) + len(DATA).to_bytes(8, "big")
    head += bytes.fromhex(DIGEST.hex) + hashlib.sha256(sums).digest()
    assert encoded == head + bytes(4) + (1).to_bytes(4, "big") + sums
    assert root(map_of(DATA, SumAlgorithm.SHA256), DIGEST) == f"sha256:{hashlib.sha256(head).hexdigest()}"
