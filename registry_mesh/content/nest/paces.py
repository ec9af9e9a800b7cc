"""How fast parents were lately."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache

Told = Callable[[str, float, float], None]
"""A parent, its rate in bytes a second, and for how many seconds it is asked after the others for it."""


def _nobody(parent: str, rate: float, pause: float) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class _Outdone:
    """That a parent was left for being slow, for the `times`th time."""

    times: int
    until: float


class Paces:
    """Bytes a second that each parent's bodies brought. Shared by all repositories of a process.

    One that was left for being slow, or for streams that break, is asked for blobs after the others for `PAUSE`
    seconds, and for twice as long each further time, up to `LONGEST`.
    """

    KNOWN: Final = 600.0
    """Seconds for which a rate is remembered."""
    PAUSE: Final = 60.0
    LONGEST: Final = 600.0
    KEPT: Final = 0.7
    """Of a rate that was better: one body may be slow for reasons of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, told: Told = _nobody) -> None:
        """`told`: whoever is told of each rate, and for how many seconds its parent is left for it."""
        self._clock = clock
        self._told = told
        self._rates: TTLCache[str, float] = TTLCache(1000, self.KNOWN, timer=clock)
        self._outdone: TTLCache[str, _Outdone] = TTLCache(1000, 2 * self.LONGEST, timer=clock)

    def rate(self, parent: str) -> float:
        """Its rate; 0.0 where it is not known."""
        return float(self._rates.get(parent, 0.0))

    def note(self, parent: str, rate: float) -> None:
        """A body brought so much."""
        before = self.rate(parent)
        self._rates[parent] = max(rate, self.KEPT * before + (1 - self.KEPT) * rate)
        self._told(parent, self._rates[parent], 0.0)

    def outdo(self, parent: str, rate: float) -> None:
        """It was left for being slow."""
        self._rates[parent] = max(1.0, rate)
        self.leave(parent)
        self._told(parent, self._rates[parent], self._outdone[parent].until - self._clock())

    def leave(self, parent: str) -> float:
        """Have it asked for blobs after the others for a while, which is given, in seconds."""
        known = self._outdone.get(parent)
        times = known.times + 1 if known is not None else 1
        pause = min(self.LONGEST, self.PAUSE * 2.0 ** (times - 1))
        self._outdone[parent] = _Outdone(times, self._clock() + pause)
        return pause

    def outdone(self, parent: str) -> bool:
        """Whether it is to be asked for blobs after the others."""
        known = self._outdone.get(parent)
        return known is not None and self._clock() < known.until
