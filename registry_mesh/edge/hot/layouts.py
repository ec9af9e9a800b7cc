"""Where in a head the values are that change from request to request.

A client spells its heads in one way: of two of its heads that are equally long, such values are mostly at the same
places. Cut out there, what is left is the same each time and known by its bytes; the values are looked at alone. A
cut at a wrong place leaves something that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from struct import Struct
from typing import Final

VARYING: Final = (b"\r\ntraceparent:", b"\r\ntracestate:", b"\r\nx-request-id:", b"\r\nif-none-match:")
"""Lines whose values change from request to request. The first two never change an answer."""
_TRACE, _ID, _CONDITION = 0, 2, 3

Given = tuple[bytes, bytes]
"""X-Request-Id and If-None-Match of a head, empty where they are missing."""
NOTHING: Final[Given] = (b"", b"")

MARK: Final = b"\0"
"""Where something was cut out, in what is known: no head that is known whole has it."""
_RUN: Final = re.compile(rb"[0-9A-Za-z]{16,}")
"""What changes in such a value: a digest or an id. The rest of it is mostly the same."""
_LONGEST_ID: Final = 64
_MOST: Final = 8
"""Cuts in one head."""
_NOWHERE: Final = slice(0, 0)

Cut = tuple[int, int, int]
"""Start, stop, and the number of the line in `VARYING`."""


class Layout:
    """The places of such values in heads of one length. `kinds`: which lines the cuts are in, in their order."""

    __slots__ = ("_trace", "condition", "has_given", "id", "kinds", "parts")

    def __init__(self, length: int, cuts: list[Cut], whole: dict[int, slice]) -> None:
        """`cuts` in their order, at least one; `whole`: the place of each value, by the number of its line."""
        self.kinds = tuple(kind for _, _, kind in cuts)
        edges = [0, *(edge for start, stop, _ in cuts for edge in (start, stop)), length]
        sizes = "".join(f"{stop - start}s" for start, stop in pairwise(edges))
        self.parts: Callable[[bytes], tuple[bytes, ...]] = Struct(f"={sizes}0s").unpack
        """What is left of a head and its values, in turns; the last value is empty."""
        self.id = self.kinds.index(_ID) if _ID in self.kinds else -1
        self._trace, self.condition = (whole.get(kind, _NOWHERE) for kind in (_TRACE, _CONDITION))
        self.has_given = _ID in whole or _CONDITION in whole

    def rest(self, head: bytes) -> tuple[bytes, ...]:
        """What is left of a head, in parts."""
        return self.parts(head)[::2]

    def given(self, head: bytes) -> Given | None:
        """What the values say; None where one is odd, which is for the slow path to judge."""
        values = self.parts(head)[1::2]
        if not b"".join(values).isalnum() and not self._is_well(values):
            return None
        return (values[self.id], head[self.condition]) if self.has_given else NOTHING

    def _is_well(self, values: Sequence[bytes]) -> bool:
        """An id may have dashes, dots and underscores too."""
        if self.id < 0:
            return False
        id = values[self.id].translate(None, b"-._")
        return b"".join((*values[: self.id], id or b"0", *values[self.id + 1 :])).isalnum()

    def recorded(self, head: bytes) -> bool:
        """Whether the head says that its trace is recorded (W3C Trace Context, 3.2.2.5)."""
        return head[self._trace].endswith(b"1")


def layout_of(head: bytes) -> Layout | None:
    """Where its values are; None where it has none, or one that is doubled, empty or odd."""
    low = head.lower()
    whole: dict[int, slice] = {}
    for kind, name in enumerate(VARYING):
        at = low.find(name)
        if at < 0:
            continue
        start, stop = at + len(name), head.find(b"\r\n", at + len(name))
        value = head[start:stop]
        start, stop = stop - len(value.lstrip(b" ")), start + len(value.rstrip(b" "))
        text = head[start:stop].decode("latin-1")
        if start >= stop or not text.isascii() or not text.isprintable() or low.find(name, stop) >= 0:
            return None
        whole[kind] = slice(start, stop)
    cuts = sorted(cut for kind, place in whole.items() for cut in _cuts(head, kind, place))
    if not cuts or len(cuts) > _MOST or any(kind == _ID and b - a > _LONGEST_ID for a, b, kind in cuts):
        return None
    return Layout(len(head), cuts, whole)


def _cuts(head: bytes, kind: int, place: slice) -> list[Cut]:
    """What changes of a value: of an id all, of others what looks like one."""
    if kind == _ID:
        return [(place.start, place.stop, kind)]
    return [(*found.span(), kind) for found in _RUN.finditer(head, place.start, place.stop)]


def bare(head: bytes) -> bytes:
    """The head without the lines that such values are in."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not (b"\r\n" + line).lower().startswith(VARYING))
