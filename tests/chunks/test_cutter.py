"""Cutting a stream into chunks, however its pieces fall."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.cutter import Cutter
from registry_mesh.oci.span import Span

SIZE = 2 * CHUNK + 777
DATA = bytes(range(251)) * (SIZE // 251 + 1)


@given(st.integers(0, SIZE), st.lists(st.integers(0, SIZE), max_size=8), st.binary(max_size=20))
def test_any_pieces_come_out_as_chunks(length: int, cuts: list[int], beyond: bytes) -> None:
    data = DATA[:length]
    bounds = sorted({0, length, *(cut for cut in cuts if cut < length)})
    pieces = [data[a:b] for a, b in pairwise(bounds)]
    cutter = Cutter(Span(CHUNK, CHUNK + length))
    chunks = [chunk for piece in (*pieces, beyond) for chunk in cutter.feed(piece)]
    assert chunks == [data[at : at + CHUNK] for at in range(0, length, CHUNK)]


def test_a_chunk_comes_with_its_last_byte() -> None:
    cutter = Cutter(Span(0, 10))
    assert list(cutter.feed(b"123456789")) == []
    assert list(cutter.feed(b"0")) == [b"1234567890"]


def test_a_span_that_starts_inside_a_chunk_is_refused() -> None:
    with pytest.raises(ValueError, match="does not start"):
        Cutter(Span(1, CHUNK))
