"""A limit in seconds of which those are no part in which this process stood still: stopped, paused with its machine, or
busy with one thing.

What was waited for meanwhile may have come long ago, and nobody could see it. That time is not its sender's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

LOOK: Final = 0.1
"""Seconds between two looks at the clock."""

LATE: Final = 0.05
"""Seconds by which a look may be late in a process that does its work."""


class AwakeLimit:
    """As `asyncio.timeout(seconds)`, to be entered once. Calls `stood` with the seconds by which a look was late."""

    __slots__ = ("_due", "_ends", "_limit", "_stood", "_timer")

    def __init__(self, seconds: float, stood: Callable[[float], None]) -> None:
        self._stood = stood
        self._limit = asyncio.timeout(None)
        self._ends = time.monotonic() + seconds
        self._look_again()

    async def __aenter__(self) -> AwakeLimit:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, fault, trace)

    def now(self) -> float:
        """The monotonic clock, as far as this process is known to have been at work."""
        return min(time.monotonic(), self._due + LATE)

    def _look_again(self) -> None:
        now = time.monotonic()
        self._due = min(now + LOOK, self._ends)
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._due - now), self._look)

    def _look(self) -> None:
        now = time.monotonic()
        late = now - self._due
        if late > LATE:
            self._ends += late
            self._stood(late)
        if now < self._ends:
            self._look_again()
        else:
            self._limit.reschedule(asyncio.get_running_loop().time())
