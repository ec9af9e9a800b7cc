"""Decides when a second parent is asked beside one that is not late yet, but later than usual."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Final

from cachetools import TTLCache

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.ports.parents import Parent

Told = Callable[[str, str], None]
"""The parent that was later than usual, and what came of it: a word of `telemetry.names.HEDGED`."""


class Hedge(enum.Enum):
    """Which parents may be asked beside another."""

    NONE = "none"
    """None, before the other is late."""
    ALIKE = "alike"
    """Beside a node of the mesh only another one: what the tree may have is not fetched past it."""
    ANY = "any"
    """Any."""

    def allows(self, first: Parent, other: Parent) -> bool:
        """Whether `other` may be asked beside `first`."""
        if self is Hedge.NONE or not other.spare:
            return False
        return self is Hedge.ANY or not first.mesh or bool(other.mesh)


def _nobody(parent: str, outcome: str) -> None:
    """Nobody is told."""


class Hedges:
    """Of one process. A fiftieth of what is asked may be asked twice, and a fiftieth of the bytes may come twice, with
    `MOST` and `MOST_BYTES` at once: a link that is slow for all parents is not to carry everything twice. A parent that
    was beaten is on trial: the next time another is asked at once. One that is beaten twice running is late."""

    SHARE: Final = 0.02
    MOST: Final = 10.0
    MOST_BYTES: Final = 4.0 * MIB
    LATELY: Final = 30.0
    """Seconds for which a defeat tells how fast a parent is."""
    ON_TRIAL: Final = 600.0
    """Seconds after a defeat within which the next one follows it, if the parent won nothing meanwhile."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, told: Told = _nobody) -> None:
        self.told = told
        self._left = self.MOST
        self._left_bytes = self.MOST_BYTES
        self._received: dict[str, int] = {}
        self._beaten: TTLCache[tuple[str, str], bool] = TTLCache(10_000, self.LATELY, timer=clock)
        self._trials: TTLCache[tuple[str, str], bool] = TTLCache(10_000, self.ON_TRIAL, timer=clock)

    def asked(self, parent: Parent) -> None:
        """Note that a parent is asked: what it has brought since the last time adds to what may come twice."""
        self._left = min(self.MOST, self._left + self.SHARE)
        brought = parent.received - self._received.get(parent.name, parent.received)
        self._received[parent.name] = parent.received
        self._left_bytes = min(self.MOST_BYTES, self._left_bytes + self.SHARE * max(0, brought))

    def take(self, late: str, size: int = 0) -> bool:
        """Whether another may be asked beside the parent `late`, for what brings up to `size` bytes in vain."""
        if self._left < 1 or self._left_bytes < size:
            self.told(late, "denied")
            return False
        self._left -= 1
        self._left_bytes -= size
        return True

    def answered(self, name: str, what: str) -> None:
        """It was the first to answer."""
        self._beaten.pop((name, what), None)
        self._trials.pop((name, what), None)

    def soon(self, parent: Parent, what: str) -> float:
        """Seconds until another may be asked beside the parent: none where it was beaten when it was asked last."""
        return 0.0 if (parent.name, what) in self._trials else parent.soon

    def was_beaten(self, name: str, what: str) -> bool:
        """Whether another was the first when it was asked last, lately."""
        return (name, what) in self._beaten

    def beaten(self, name: str, what: str) -> bool:
        """Another was the first; whether that is so for the second time running."""
        again = (name, what) in self._trials
        self._beaten[name, what] = self._trials[name, what] = True
        return again
