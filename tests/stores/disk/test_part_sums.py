"""Sums that are taken while chunks are written, whatever pieces they come in."""

from __future__ import annotations

import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.stores.disk.part_sums import PartSums
from tests.suites.bytes_of import pattern

DATA = pattern(2 * CHUNK + 1000)
UNSEEN = -1


def unseen(index: int) -> int:
    """What stands for the sum of a chunk that would be read again."""
    return UNSEEN


@given(st.lists(st.integers(1, len(DATA) - 1), max_size=6))
def test_a_chunk_that_came_in_order_has_the_sum_of_its_bytes(cuts: list[int]) -> None:
    sums = PartSums()
    edges = sorted({0, *cuts, len(DATA)})
    for start, stop in pairwise(edges):
        sums.add(start, [memoryview(DATA)[start:stop]])
    chunks = range(3)
    known = [zlib.crc32(DATA[index * CHUNK : (index + 1) * CHUNK]) for index in chunks]
    assert sums.take(chunks, len(DATA), unseen) == known
    assert sums.take(chunks, len(DATA), unseen) == [UNSEEN] * 3, "they are forgotten then"


def test_a_chunk_whose_beginning_was_not_seen_has_none() -> None:
    sums = PartSums()
    sums.add(100, [DATA[100:CHUNK]])
    sums.add(CHUNK, [DATA[CHUNK : 2 * CHUNK]])
    assert sums.take(range(2), len(DATA), unseen) == [UNSEEN, zlib.crc32(DATA[CHUNK : 2 * CHUNK])]


def test_a_chunk_that_is_given_up_is_begun_anew() -> None:
    sums = PartSums()
    sums.add(0, [DATA[:100]])
    sums.forget(0)
    sums.add(100, [DATA[100:CHUNK]])
    assert sums.take(range(1), len(DATA), unseen) == [UNSEEN]
    sums.add(0, [DATA[:CHUNK]])
    assert sums.take(range(1), len(DATA), unseen) == [zlib.crc32(DATA[:CHUNK])]
