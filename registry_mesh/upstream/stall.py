"""Cuts off a body that stands still.

aiohttp's own limit (`sock_read`) cancels a timer and sets another for every piece that comes; that was a tenth of the
interpreter's time in a fill. One timer that looks at a mark now and then costs next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_LOOKS: Final = 4


class Stall:
    """Calls `cut` once, when `came` has not followed a `wait` for `seconds`, or a quarter more. Who does not wait,
    because it cannot take more, is not cut off. To be entered and left."""

    __slots__ = ("_came", "_cut", "_loop", "_pause", "_seen", "_still", "_timer", "_waiting", "stalled")

    def __init__(self, seconds: float, cut: Callable[[], None]) -> None:
        self._pause = seconds / _LOOKS
        self._cut = cut
        self._loop = asyncio.get_running_loop()
        self._came = 0
        self._seen = -1
        self._still = 0
        self._waiting = False
        self._timer: asyncio.TimerHandle | None = None
        self.stalled = False
        """Whether it was cut off."""

    def __enter__(self) -> Stall:
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def wait(self) -> None:
        """A piece is waited for."""
        self._waiting = True

    def came(self) -> None:
        """It has come."""
        self._waiting = False
        self._came += 1

    def _look(self) -> None:
        self._still = self._still + 1 if self._waiting and self._seen == self._came else 0
        self._seen = self._came
        if self._still >= _LOOKS:
            self.stalled = True
            self._cut()
        else:
            self._timer = self._loop.call_later(self._pause, self._look)
