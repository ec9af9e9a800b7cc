"""Range fields: examples of the RFC, and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.edge.ranges import MAX_RANGES, Wanted, parse_range, range_applies, satisfiable
from registry_mesh.oci.refusals import RequestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import TO_END

POSITION = st.integers(0, 10_000)
SPEC = st.one_of(
    st.builds(lambda a, b: (f"{a}-{b}", Wanted(a, b + 1)), POSITION, POSITION),
    st.builds(lambda a: (f"{a}-", Wanted(a, TO_END)), POSITION),
    st.builds(lambda n: (f"-{n}", Wanted(suffix=n)), POSITION),
)
SPACE = st.text(" \t", max_size=2)


@given(
    st.lists(st.tuples(SPEC, SPACE, SPACE), min_size=1, max_size=40),
    st.sampled_from(["bytes", "Bytes", "BYTES"]),
)
def test_every_well_formed_field_is_read(specs: list[tuple[tuple[str, Wanted], str, str]], unit: str) -> None:
    header = f"{unit}=" + ",".join(before + text + after for (text, _), before, after in specs)
    assert parse_range(header) == tuple(wanted for (_, wanted), _, _ in specs)


@given(st.text(max_size=60))
def test_whatever_comes_nothing_breaks(text: str) -> None:
    for header in (text, f"bytes={text}"):
        for wanted in parse_range(header) or ():
            span = wanted.span(100)
            assert span is None or (0 <= span.start < span.stop <= 100)


@given(SPEC, st.integers(0, 200))
def test_a_span_is_what_the_representation_has_of_the_range(spec: tuple[str, Wanted], size: int) -> None:
    wanted = spec[1]
    if wanted.suffix is not None:
        expected = set(range(size)[-wanted.suffix :]) if wanted.suffix else set()
    else:
        expected = {position for position in range(size) if wanted.start <= position < wanted.stop}
    span = wanted.span(size)
    assert set(range(span.start, span.stop) if span else ()) == expected
    assert span is None or span


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=a-", "bytes=1", "bytes=1-2-3", "lines=0-1", "bytes=١-٢",
     "bytes=+1-2", "bytes=0x1-2", "bytes = 0 - 1", "bytes=1-2;q=1", "bytes=0-1,a"],
)  # fmt: skip
def test_absent_foreign_and_malformed_are_ignored(header: str | None) -> None:
    assert parse_range(header) is None


def test_empty_elements_are_skipped() -> None:
    assert parse_range("bytes=, 0-0 ,,-1,") == (Wanted(0, 1), Wanted(suffix=1))


def test_positions_of_any_length() -> None:
    huge = "9" * 30_000
    assert parse_range(f"bytes={huge}-{huge}") == (Wanted(TO_END, TO_END + 1),)
    assert parse_range(f"bytes=-{huge}") == (Wanted(suffix=TO_END),)
    assert Wanted(suffix=TO_END).span(5) == Span(0, 5)
    assert parse_range("bytes=" + "0" * 500 + "7-8") == (Wanted(7, 9),)


def test_as_many_ranges_as_clients_send_and_no_more() -> None:
    def field(count: int) -> str:
        return "bytes=" + ",".join(f"{i * 10}-{i * 10 + 3}" for i in range(count))

    assert len(parse_range(field(MAX_RANGES)) or ()) == MAX_RANGES
    with pytest.raises(RequestInvalid):
        parse_range(field(MAX_RANGES + 1))


def test_what_overlaps_much_is_refused() -> None:
    assert satisfiable([Wanted(0, 60), Wanted(40, 100)], 100) == [Span(0, 60), Span(40, 100)]
    assert satisfiable([Wanted(0), Wanted(200, 300)], 100) == [Span(0, 100)]
    with pytest.raises(RequestInvalid):
        satisfiable([Wanted()] * 3, 100)


def test_if_range() -> None:
    assert range_applies(None, '"a"')
    assert range_applies(' "a" ', '"a"')
    assert not range_applies('W/"a"', '"a"')
    assert not range_applies('"b"', '"a"')
    assert not range_applies("Tue, 15 Nov 1994 12:45:26 GMT", '"a"')
