"""How far to fetch ahead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.chunks.readahead import Readahead, ReadaheadPolicy
from registry_mesh.oci.span import Span


def test_a_sequence_earns_a_share_of_what_it_read() -> None:
    readahead = Readahead(ReadaheadPolicy(share=1 / 4, most=MIB))
    ahead = [len(readahead.after(Span(i * MIB, (i + 1) * MIB))) for i in range(6)]
    assert ahead == [MIB // 4, MIB // 2, MIB * 3 // 4, MIB, MIB, MIB]


def test_what_is_ahead_begins_at_the_next_chunk() -> None:
    readahead = Readahead(ReadaheadPolicy(share=1))
    assert readahead.after(Span(0, 3 * CHUNK - 7)) == Span(3 * CHUNK, 5 * CHUNK)
    assert readahead.after(Span(3 * CHUNK - 7, 3 * CHUNK)).start == 3 * CHUNK


def test_a_jump_earns_nothing() -> None:
    readahead = Readahead(ReadaheadPolicy())
    assert not any(
        readahead.after(Span(start, start + 50_000)) for start in (90 * MIB, 10 * MIB, 50 * MIB, 0)
    )


def test_sequences_of_several_clients_are_told_apart() -> None:
    readahead = Readahead(ReadaheadPolicy(share=1 / 2))
    for step in range(8):
        for base in (0, 100 * MIB, 200 * MIB):
            ahead = readahead.after(Span(base + step * MIB, base + (step + 1) * MIB))
            assert len(ahead) == (step + 1) * MIB // 2


def test_the_same_range_again_is_no_sequence() -> None:
    readahead = Readahead(ReadaheadPolicy(share=1))
    assert [len(readahead.after(Span(0, CHUNK))) for _ in range(5)] == [CHUNK] * 5


@given(st.lists(st.tuples(st.integers(0, 64 * MIB), st.integers(1, 4 * MIB)), max_size=80))
def test_never_more_than_the_share_of_what_was_asked_for(ranges: list[tuple[int, int]]) -> None:
    readahead = Readahead(ReadaheadPolicy())
    for asked, (start, length) in enumerate(ranges, 1):
        ahead = readahead.after(Span(start, start + length))
        assert ahead.start % CHUNK == 0 and len(ahead) % CHUNK == 0
        reach = sum(size + CHUNK for _, size in ranges[:asked])  # at best all in sequence, with gaps
        assert len(ahead) <= min(8 * MIB, reach / 16)
