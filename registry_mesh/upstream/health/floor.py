"""How little a body may bring while it is waited for: a parent that drips is as good as one that stands still."""

from __future__ import annotations

from typing import Final

LEAST: Final = 1024.0
"""Bytes a second under which a body drips."""

CROWD: Final = 16.0
"""A link that brings so many times `LEAST` in all is only crowded, unless a body has less than that part of its fair
share."""


class Floor:
    """Of one body. Told of each time that somebody waited for it; time in which nobody could take more is not
    counted."""

    __slots__ = ("_parent_bytes", "_received", "_waited", "_window")

    def __init__(self, window: float) -> None:
        """`window`: seconds of waiting over which bytes are counted."""
        self._window = window
        self._waited = 0.0
        self._received = 0
        self._parent_bytes = 0

    def drips(self, seconds: float, received: int, parent_bytes: int, bodies: int) -> bool:
        """Whether it is to be given up, now that it was waited for `seconds` more. `received`: bytes that came of it
        since the last time; `parent_bytes`: of all bodies of its parent, of which there are so many."""
        self._waited += seconds
        self._received += received
        self._parent_bytes += parent_bytes
        if self._waited < self._window:
            return False
        slow = drips(self._received / self._waited, self._parent_bytes / self._waited, bodies)
        self._waited, self._received, self._parent_bytes = 0.0, 0, 0
        return slow


def drips(rate: float, parent_rate: float, bodies: int) -> bool:
    """Whether a body at `rate` bytes a second is worth no more waiting, where its parent sends `parent_rate` in all."""
    if rate >= LEAST:
        return False
    crowded = parent_rate >= CROWD * LEAST and rate * CROWD >= parent_rate / max(1, bodies)
    return not crowded
