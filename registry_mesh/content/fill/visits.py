"""Who has a fill open, and whether anybody reads it: what nobody reads may be evicted from under it."""

from __future__ import annotations

from registry_mesh.ports.partial import Stays


class Visits:
    """Of one fill, whose blob `hold` keeps from eviction."""

    def __init__(self, hold: Stays) -> None:
        self._hold = hold
        self._open = self._resting = 0
        self._asleep = False

    def __len__(self) -> int:
        return self._open

    @property
    def all_rest(self) -> bool:
        """Whether somebody has the fill open, and nobody reads."""
        return 0 < self._open == self._resting

    def doze(self) -> None:
        """Let the blob be evicted, as all rest. Nothing may be under way."""
        self._asleep = self._asleep or self._hold.rest()

    def wake(self) -> bool:
        """Keep the blob from eviction again. False, from then on, where some of it is gone: nobody reads on."""
        if self._asleep:
            self._asleep = not self._hold.wake()
        return not self._asleep

    def open(self) -> Visit:
        """One more, who reads."""
        self._open += 1
        return Visit(self)

    def rest(self, resting: int) -> None:
        """So many more rest."""
        self._resting += resting

    def close(self, resting: int) -> None:
        """One less, and so many of those that rest."""
        self._open -= 1
        self._resting -= resting


class Visit:
    """That of one reading."""

    __slots__ = ("_resting", "_visits")

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        self._resting = False

    def rest(self) -> None:
        """It reads nothing until it wakes."""
        if not self._resting:
            self._resting = True
            self._visits.rest(1)

    def wake(self) -> bool:
        """It reads on; False where some of what it was given may be gone."""
        if self._resting:
            if not self._visits.wake():
                return False
            self._resting = False
            self._visits.rest(-1)
        return True

    def close(self) -> None:
        """It has ended."""
        self._visits.close(int(self._resting))
