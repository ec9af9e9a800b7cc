"""Whether a parent is worth asking: closed (yes), open (no), half open (one may try).

A parent that refuses, breaks or hangs is left alone for a while that doubles with every failed try; what is not
held is then a clear answer at once instead of a wait. A background probe, not a client's request, is the try.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FIRST: Final = 1.0
LONGEST: Final = 30.0
TOLERATED: Final = 3
"""Failures in a row that an answering parent may have (5xx) before it is left alone."""


class Breaker:
    """State of one parent. `clock` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.on_change: Callable[[str], None] = lambda reason: None
        """Called when it opens, with the reason, and when it closes, with an empty one."""
        self._failures = 0
        self._pause = FIRST
        self._open_since = self._open_until = 0.0
        self._open = False
        self.confirmed = False
        self.latency = 0.0  # seconds to the answer's head, smoothed
        self.reason = ""
        self.last_success = 0.0
        self.answered = False
        """Whether it ever did, so that `latency` is known."""

    @property
    def open(self) -> bool:
        return self._open

    @property
    def pause(self) -> float:
        """Seconds between two tries while it is open."""
        return self._pause

    @property
    def due(self) -> bool:
        """Open, and it is time to try again."""
        return self._open and self._clock() >= self._open_until

    @property
    def told(self) -> str:
        """While it is open: why, since when, and when it is tried again. Empty while it is closed."""
        if not self._open:
            return ""
        now = self._clock()
        since, again = now - self._open_since, max(0.0, self._open_until - now)
        when = f"in {again:.0f} s" if again >= 1 else "now"
        return f"down for {since:.0f} s ({self.reason}), is tried again {when}"

    def succeeded(self, seconds: float) -> None:
        """It answered, with anything but a server error, after `seconds`."""
        self.latency = seconds if not self.latency else 0.8 * self.latency + 0.2 * seconds
        if self._open:
            self.on_change("")
        self._failures = 0
        self._pause = FIRST
        self._open = False
        self.confirmed = self.answered = True
        self.reason = ""
        self.last_success = self._clock()

    def failed(self, reason: str, *, hard: bool) -> None:
        """`hard`: no answer at all (refused, timed out). Otherwise a server error, tolerated a few times."""
        self._failures += 1
        self.reason = reason
        if not hard and self._failures < TOLERATED:
            return
        self.confirmed = False
        if not self._open:
            self._open_since = self._clock()
            self.on_change(reason)
        else:
            self._pause = min(LONGEST, self._pause * 2)
        self._open = True
        self._open_until = self._clock() + self._pause

    def __repr__(self) -> str:
        return f"<Breaker {'open: ' + self.reason if self._open else 'closed'} {self.latency * 1000:.0f} ms>"
