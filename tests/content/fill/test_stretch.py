"""What a transfer is to fill, against plain sets of chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.steal import SKIP
from registry_mesh.content.fill.stretch import Stretch

CHUNKS = 12
LONG = SKIP // CHUNK + 1


@given(st.lists(st.tuples(st.integers(0, CHUNKS), st.integers(1, 4)), max_size=4), st.integers(0, CHUNKS - 1))
def test_what_is_carved_out_is_no_longer_covered(carved: list[tuple[int, int]], index: int) -> None:
    stretch = Stretch(CHUNKS * CHUNK, range(CHUNKS))
    left = set(range(CHUNKS))
    for start, length in carved:
        chunks = range(start, min(CHUNKS, start + length))
        if chunks and left.issuperset(chunks):
            stretch.carve(chunks)
            left -= set(chunks)
    assert {each for each in range(CHUNKS) if stretch.covers(each)} == left
    assert stretch.end >= max((each + 1 for each in left), default=0) * CHUNK
    if index not in left:
        after = [each for each in left if each > index]
        assert stretch.next_after(index) <= min(after, default=1 << 62), "never later than what it fills next"


def test_it_ends_where_its_blob_does() -> None:
    assert Stretch(3 * CHUNK + 5, range(1, 4)).end == 3 * CHUNK + 5


def test_it_ends_with_the_chunk_under_way() -> None:
    stretch = Stretch(8 * CHUNK, range(8))
    stretch.received = 2 * CHUNK + 1
    stretch.end_with_chunk()
    assert stretch.chunks == range(3)


def test_a_short_hole_is_read_through_and_a_long_one_ends_it() -> None:
    stretch = Stretch((LONG + 9) * CHUNK, range(LONG + 9))
    stretch.carve(range(1, 2))
    stretch.carve(range(3, 3 + LONG))
    stretch.received = CHUNK
    assert not stretch.over_long_hole() and stretch.holes[0] == range(1, 2)
    stretch.received = 2 * CHUNK
    assert not stretch.over_long_hole() and stretch.holes[0] == range(3, 3 + LONG), "it was passed"
    stretch.received = 3 * CHUNK
    assert stretch.over_long_hole() and stretch.chunks == range(3)
