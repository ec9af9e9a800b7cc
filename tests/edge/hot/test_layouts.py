"""What changes from request to request is cut out of a head; what is left is known, and a wrong cut is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.edge.hot.layouts import MARK, bare, layout_of

HEX = "0123456789abcdef"
HEAD = "GET /v2/a/blobs/sha256:{path} HTTP/1.1\r\nHost: x\r\n{fields}Accept: */*\r\n\r\n"
SHAPES = {
    "trace": "traceparent: 00-{a:032x}-{b:016x}-01\r\n",
    "state": "tracestate: x={b:016x},y=1\r\n",
    "id": "X-Request-Id: {a:032x}\r\n",
    "condition": 'If-None-Match: "sha256:{a:064x}", W/"{b:020x}"\r\n',
    "all": 'X-REQUEST-ID: {a:032x}\r\nif-none-match: "sha256:{b:064x}"\r\nTraceparent: 00-{b:032x}-{a:016x}-01\r\n',
}


def head(fields: str, path: str = "0" * 64) -> bytes:
    return HEAD.format(path=path, fields=fields).encode()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_is_left_is_the_same_whatever_the_values(shape: str) -> None:
    one, other = (head(shape.format(a=a, b=b)) for a, b in ((1, 2), (3, 4)))
    layout = layout_of(one)
    assert layout is not None
    assert one != other
    assert layout.rest(one) == layout.rest(other)
    assert layout.given(one) is not None
    assert bare(one) == bare(other) == head("")


def test_values_are_given() -> None:
    asked = head(SHAPES["all"].format(a=1, b=2))
    layout = layout_of(asked)
    assert layout is not None
    assert layout.given(asked) == (b"%032x" % 1, b'"sha256:%064x"' % 2)
    assert layout.recorded(asked)
    assert not layout.recorded(asked.replace(b"-01\r\n", b"-00\r\n"))


@pytest.mark.parametrize(
    "fields",
    [
        "X-Request-Id: a\r\nx-request-id: b\r\n",
        "traceparent: \r\n",
        "X-Request-Id: a\tb\r\n",
        "X-Request-Id: " + "a" * 65 + "\r\n",
        "traceparent: \x01" + "a" * 32 + "\r\n",
        "tracestate: " + ",".join(f"k=aaaaaaaaaaaaaaaa{n}" for n in range(20)) + "\r\n",
        "Accept: nothing that changes\r\n",
    ],
)
def test_what_is_odd_has_no_layout(fields: str) -> None:
    assert layout_of(head(fields)) is None


@pytest.mark.parametrize("odd", [b" ", b"\r", b"\n", b"\0", b"\x7f", b"\x80", b'"'])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_value_that_is_odd_is_for_the_slow_path(shape: str, odd: bytes) -> None:
    well = head(shape.format(a=1, b=2))
    layout = layout_of(well)
    assert layout is not None
    at = well.index(b"0" * 12, well.index(b"Host")) + 5
    assert layout.given(well[:at] + odd + well[at + 1 :]) is None


@given(
    st.lists(st.sampled_from(list(SHAPES)[:-1]), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(list(SHAPES)[:-1]), min_size=1, max_size=4, unique=True),
    st.text(HEX, min_size=64, max_size=64),
    st.integers(0, 2**60),
)
def test_a_layout_knows_no_head_of_another_kind(
    one: list[str], other: list[str], path: str, number: int
) -> None:
    """Where what is left of two heads is the same, and so are the kinds of lines, the heads are the same but for
    values."""
    first, second = (
        head("".join(SHAPES[name].format(a=number, b=number + 1) for name in names), path)
        for names in (one, other)
    )
    layout, own = layout_of(first), layout_of(second)
    assert layout is not None and own is not None
    if layout.kinds == own.kinds and MARK.join(layout.rest(second)) == MARK.join(own.rest(second)):
        assert layout.given(second) == own.given(second)
