"""Span sets against plain sets of integers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.chunks.span_set import SpanSet
from registry_mesh.oci.span import Span

spans = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
sets = st.lists(spans, max_size=8)


def bytes_in(of: SpanSet) -> set[int]:
    return {offset for span in of for offset in range(span.start, span.stop)}


def plain(of: list[Span]) -> set[int]:
    return {offset for span in of for offset in range(span.start, span.stop)}


def is_normal(of: SpanSet) -> bool:
    """Sorted, disjoint, not touching, none empty."""
    return all(of.spans) and all(a.stop < b.start for a, b in zip(of.spans, of.spans[1:], strict=False))


@given(sets)
def test_union_of_spans(given_spans: list[Span]) -> None:
    made = SpanSet.of(given_spans)
    assert bytes_in(made) == plain(given_spans)
    assert len(made) == len(plain(given_spans))
    assert bool(made) == bool(plain(given_spans))
    assert is_normal(made)


@given(sets, sets)
def test_arithmetic(left: list[Span], right: list[Span]) -> None:
    a, b = SpanSet.of(left), SpanSet.of(right)
    assert bytes_in(a | b) == plain(left) | plain(right)
    assert bytes_in(a - b) == plain(left) - plain(right)
    assert bytes_in(a & b) == plain(left) & plain(right)
    assert all(is_normal(each) for each in (a | b, a - b, a & b))


@given(sets, spans)
def test_questions(left: list[Span], span: Span) -> None:
    held, wanted = SpanSet.of(left), set(range(span.start, span.stop))
    assert held.covers(span) == (wanted <= plain(left))
    assert bytes_in(held.missing(span)) == wanted - plain(left)


@given(sets, st.integers(0, 60))
def test_run_from(left: list[Span], offset: int) -> None:
    run = SpanSet.of(left).run_from(offset)
    stop = offset
    while stop in plain(left):
        stop += 1
    assert run == Span(offset, stop)
