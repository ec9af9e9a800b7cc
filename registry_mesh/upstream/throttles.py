"""Which hosts asked to be left alone, and until when (RFC 9110 section 10.2.3, RFC 6585 section 4).

A registry that answers 429 counts the requests that it refuses, too: whoever goes on asking is let in later, or never.
So nothing is sent before the time that it named, and those who would have asked are told the seconds that are left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from registry_mesh.auth.hosts import place

UNSAID: Final = 1.0
"""Seconds for which a host is left alone that answers 429 and names no time."""

_Place = tuple[str, str, int]


class Throttles:
    """The hosts that one parent's answers come from: itself, and where it redirects to. `clock` in seconds,
    monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[_Place, tuple[int, float]] = {}

    def note(self, url: str, status: int, seconds: float | None) -> None:
        """The host of `url` answered 429, or 503, and named so many seconds."""
        if seconds is None and status == 429:
            seconds = UNSAID
        where = place(url)
        if where is None or not seconds:
            return
        now = self._clock()
        self._until = {host: held for host, held in self._until.items() if held[1] > now}
        self._until[where] = status, now + seconds

    def left(self, url: str) -> tuple[int, float] | None:
        """The status that its host answered, and the seconds until it may be asked again; None where it may now."""
        where = place(url)
        held = self._until.get(where) if where is not None and self._until else None
        left = held[1] - self._clock() if held else 0.0
        return (held[0], left) if held and left > 0 else None
