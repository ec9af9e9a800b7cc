"""Decides when a second parent is asked beside one that is not late yet, but later than usual."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cachetools import TTLCache

SOON: Final = 0.25
"""Seconds to an answer after which another parent is asked as well, while the budget lasts."""

USUAL: Final = 4.0
"""Times the usual latency, if that is more."""


def soon(latency: float, late: float) -> float:
    """Seconds after which a parent of this usual latency is asked beside (0.0: it has not answered yet); at most
    `late`, after which another is asked whatever the budget says."""
    return min(late, max(SOON, USUAL * latency)) if latency else late


class Hedges:
    """Of one process. A twentieth of what is asked may be asked twice, and `MOST` at once: a link that is slow for all
    parents is not to carry everything twice. A parent that was beaten twice running is late."""

    SHARE: Final = 0.05
    MOST: Final = 10.0
    RUNNING: Final = 30.0
    """Seconds between two defeats that follow each other."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._left = self.MOST
        self._beaten: TTLCache[tuple[str, str], bool] = TTLCache(10_000, self.RUNNING, timer=clock)

    def asked(self) -> None:
        """A parent is asked for something."""
        self._left = min(self.MOST, self._left + self.SHARE)

    def take(self) -> bool:
        """Whether another may be asked beside it."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def answered(self, name: str, what: str) -> None:
        """It was the first to answer."""
        self._beaten.pop((name, what), None)

    def was_beaten(self, name: str, what: str) -> bool:
        """Whether another was the first when it was asked last, lately."""
        return (name, what) in self._beaten

    def beaten(self, name: str, what: str) -> bool:
        """Another was the first; whether that is so for the second time running."""
        again = self.was_beaten(name, what)
        self._beaten[name, what] = True
        return again
