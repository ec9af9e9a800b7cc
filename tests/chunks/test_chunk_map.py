"""Chunk maps: the same however the bytes arrive; a page of one proves as much as all of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import (
    CHUNK,
    PAGE,
    ChunkMap,
    ChunkMapInvalid,
    ChunkMapsDiffer,
    chunk_span,
    count,
    pages_of,
    pages_over,
    without,
)
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.chunks.sums import SUM, ChunkSum, SumAlgorithm
from registry_mesh.oci.span import Span
from tests.suites.bytes_of import pattern
from tests.suites.chunk_maps import excerpt
from tests.suites.maps_of import map_of

DATA = pattern(2 * CHUNK + 77)
ALGORITHMS = list(SumAlgorithm)
PAGE_BYTES = PAGE * CHUNK


def of_size(size: int, algorithm: SumAlgorithm = SumAlgorithm.BLAKE3) -> ChunkMap:
    """A map with sums of nothing in particular."""
    return ChunkMap.of_sums(size, pattern(count(size) * SUM), algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, len(DATA)), max_size=6), st.sampled_from([0, 1, CHUNK, 2 * CHUNK, len(DATA)]))
def test_any_pieces_give_the_same(algorithm: SumAlgorithm, cuts: list[int], size: int) -> None:
    data, mapper = DATA[:size], ChunkMapper(algorithm)
    for start, stop in itertools.pairwise([0, *sorted(cut for cut in cuts if cut <= size), size]):
        mapper.update(data[start:stop])
    made = mapper.finish()
    chunks = [data[at : at + CHUNK] for at in range(0, size, CHUNK)]
    assert made == ChunkMap.of_sums(size, b"".join(map(algorithm.of, chunks)), algorithm)
    assert made.whole and made.covers(None)
    assert all(made.proves(i, chunk) for i, chunk in enumerate(chunks))
    assert not any(made.proves(i, chunk[:-1] + bytes([chunk[-1] ^ 1])) for i, chunk in enumerate(chunks))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_resumed_mapper_goes_on(algorithm: SumAlgorithm) -> None:
    first = ChunkMapper(algorithm)
    first.update(DATA[:CHUNK])
    second = ChunkMapper.resumed(first.sums, algorithm)
    second.update(DATA[CHUNK:])
    assert second.finish() == map_of(DATA, algorithm)


@given(st.integers(0, 4 * PAGE_BYTES), st.integers(0, 5 * PAGE_BYTES), st.integers(0, 5 * PAGE_BYTES))
def test_the_pages_over_a_span_have_the_sums_of_its_chunks(size: int, one: int, other: int) -> None:
    span = Span(min(one, other), max(one, other))
    touched = {i // PAGE for i in range(count(size)) if span.clip(chunk_span(i, size))}
    assert set(pages_over(span, size)) == touched


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1))
def test_pages_that_come_apart_are_the_map(order: list[int]) -> None:
    whole = of_size(4 * PAGE_BYTES + 1)
    known = excerpt(whole, Span(0, 0))
    assert not known.pages and known.top == whole.top
    for page in order:
        known = known.joined(excerpt(whole, Span(page * PAGE_BYTES, page * PAGE_BYTES + 1)))
        assert known.knows(page * PAGE) and known.sum(page * PAGE) == whole.sum(page * PAGE)
    assert set(known.pages) == set(order)
    assert known.whole == (set(order) == set(range(5))) == (known == whole)


def test_a_page_that_is_not_the_one_its_head_names_is_refused() -> None:
    whole = of_size(3 * PAGE_BYTES)
    pages = dict(whole.pages)
    for wrong in (pages[1], pages[0][:-1], pages[0][:-1] + b"x"):
        with pytest.raises(ChunkMapInvalid):
            ChunkMap.proven(whole.size, whole.algorithm, whole.top, [(0, wrong)])


def test_maps_of_two_opinions_are_not_joined() -> None:
    one, other = of_size(PAGE_BYTES + 1), map_of(bytes(PAGE_BYTES + 1), SumAlgorithm.BLAKE3)
    with pytest.raises(ChunkMapsDiffer):
        one.joined(other)
    with pytest.raises(ChunkMapsDiffer):
        one.joined(of_size(PAGE_BYTES + 2))
    by_another = of_size(PAGE_BYTES + 1, SumAlgorithm.SHA256)
    joined = one.joined(by_another)
    assert joined.alone == by_another and joined.beside == one, "nothing says that one of them is wrong"
    assert by_another.joined(joined).joined(one) == replace(one, beside=by_another)
    with pytest.raises(ChunkMapsDiffer):
        joined.joined(other)
    with pytest.raises(ChunkMapsDiffer):
        one.joined(of_size(PAGE_BYTES + 2, SumAlgorithm.SHA256))


@pytest.mark.parametrize("first", [0, 1, PAGE - 2])
@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_the_chunks_before_the_first_that_is_wrong_fit(first: int, wrong: int) -> None:
    known = of_size(2 * PAGE_BYTES)
    there = min(3, PAGE - first)  # the rest is of another page
    sums: list[ChunkSum | None] = [known.sum(index) for index in range(first, first + 3)]
    assert known.fitting(first, sums) == there
    another = known.sum(first + wrong)
    for spoilt in (
        None,
        replace(another, value=another.value[::-1]),
        replace(another, algorithm=SumAlgorithm.SHA256),
    ):
        sums[wrong] = spoilt
        assert known.fitting(first, sums) == min(wrong, there)
    assert excerpt(known, Span(0, CHUNK)).fitting(PAGE, [known.sum(PAGE)]) == 0, "its page is not here"


def test_sums_that_are_too_few_or_too_many_are_refused() -> None:
    for sums in (b"", bytes(SUM), bytes(3 * SUM)):
        with pytest.raises(ChunkMapInvalid):
            ChunkMap.of_sums(2 * CHUNK, sums)
    with pytest.raises(ChunkMapInvalid):
        ChunkMap(2 * CHUNK, SumAlgorithm.SHA256, b"", {})


@given(st.integers(0, 10 * CHUNK))
def test_chunks_cover_the_blob(size: int) -> None:
    spans = [chunk_span(i, size) for i in range(count(size))]
    assert sum(map(len, spans)) == size
    assert all(a.stop == b.start for a, b in itertools.pairwise(spans))
    assert not spans or (spans[0].start == 0 and spans[-1] == Span(spans[-1].start, size))
    assert pages_of(size) == -(-len(spans) // PAGE)


RUN = st.builds(range, st.integers(0, 40), st.integers(0, 40))


@given(RUN, st.lists(RUN, max_size=6))
def test_what_is_left_of_a_run_are_the_chunks_of_no_other(chunks: range, others: list[range]) -> None:
    left = [index for run in without(chunks, others) for index in run]
    assert left == [index for index in chunks if not any(index in other for other in others)]
