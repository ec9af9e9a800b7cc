"""Texts made of others: cut, doubled, spliced, with bits turned and with what breaks parsers in between."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

BREAKERS: Final = (
    b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc3\xa9", b"\xe2\x80\xa8", b"\r\n", b"\n", b'"', b"'", b"\\",
    b"/", b"//", b"..", b"%00", b"%2f", b"%", b":", b";", b",", b"=", b"*", b"!", b"&a *a", b"<<: *a", b"[",
    b"]", b"{", b"}", b"[" * 3000, b'{"a":' * 3000, b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"9" * 5000,
    b"18446744073709551616", b"null", b"true", b"~", b"[]", b"{}", b'""', b"a" * 70_000, b"\xf0\x9f\x92\xa9",
    b"!!python/object:x", b"2026-02-30", b"0x10", b"1_000", b"@", b"#", b"$", b"http://", b"http://[",
    b"\\ud800", b"\t", b" ",
)  # fmt: skip


def mutated(begin: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Any bytes, or what a few changes make of `begin`."""
    return st.binary(max_size=200) | st.builds(_changed, begin, st.lists(_change(), min_size=1, max_size=4))


def _change() -> st.SearchStrategy[tuple[int, int, bytes]]:
    """Where, how many bytes go, and what comes in their place."""
    return st.tuples(
        st.integers(0, 1 << 16), st.integers(0, 40), st.sampled_from(BREAKERS) | st.binary(max_size=6)
    )


def _changed(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in changes:
        at %= len(data) + 1
        data = data[:at] + new + data[at + length :]
    return data
