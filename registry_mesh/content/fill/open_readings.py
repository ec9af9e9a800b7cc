"""Who has a fill open, and whether anybody reads it: what nobody reads may be evicted from under it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from registry_mesh.ports.partial import Stays


class OpenReadings:
    """Of one fill, whose blob `hold` keeps from eviction. `is_busy`: whether something is under way in it."""

    def __init__(self, hold: Stays, is_busy: Callable[[], object]) -> None:
        self._hold = hold
        self._is_busy = is_busy
        self._open = self._resting = 0
        self._asleep = False

    def __len__(self) -> int:
        return self._open

    def doze(self) -> None:
        """Let the blob be evicted, where somebody has the fill open, all of them rest, and nothing is under way."""
        if not self._asleep and 0 < self._open == self._resting and not self._is_busy():
            self._asleep = self._hold.rest()

    def wake(self) -> bool:
        """Keep the blob from eviction again. False, from then on, where some of it is gone: another fill is to be made,
        and nobody reads on."""
        if self._asleep:
            self._asleep = not self._hold.wake()
        return not self._asleep

    @contextlib.contextmanager
    def begin(self) -> Iterator[OpenReading]:
        """One more: a caller inside may follow the fill, and look at what it holds, at any moment; unless it rests."""
        reading = OpenReading(self)
        self._open += 1
        try:
            yield reading
        finally:
            self._open -= 1
            self._resting -= int(reading.rests)

    def rest(self, resting: int) -> None:
        """So many more rest."""
        self._resting += resting


class OpenReading:
    """One of them."""

    __slots__ = ("_all", "rests")

    def __init__(self, readings: OpenReadings) -> None:
        self._all = readings
        self.rests = False

    def rest(self) -> None:
        """It reads nothing until it wakes."""
        if not self.rests:
            self.rests = True
            self._all.rest(1)

    def wake(self) -> bool:
        """It reads on; False where some of what it was given may be gone."""
        if self.rests:
            if not self._all.wake():
                return False
            self.rests = False
            self._all.rest(-1)
        return True
