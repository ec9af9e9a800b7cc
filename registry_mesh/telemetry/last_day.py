"""Figures of the last 24 hours, by hours: they outlive the processes that counted them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

HOURS: Final = 24
_HOUR: Final = 3600

Totals = Mapping[str, int]
"""Counters by their names, since whoever counts began."""


@dataclass(frozen=True, slots=True)
class LastDay:
    """What was counted in each hour since the epoch. `life` and `totals`: whose counters were seen last, and where they
    stood."""

    hours: Mapping[int, Totals] = field(default_factory=dict)
    life: str = ""
    totals: Totals = field(default_factory=dict)
    began: float = 0.0
    """When counters were first seen, in seconds since the epoch; 0: not known."""

    def noted(self, life: str, totals: Totals, now: float) -> LastDay:
        """The same after counters of `life` were seen to stand at `totals`, at `now` in seconds since the epoch. Those
        of another life began at 0; a counter does not fall within one."""
        before = self.totals if life == self.life else {}
        stand = {name: max(value, before.get(name, 0)) for name, value in totals.items()}
        hour = int(now // _HOUR)
        kept = {each: counted for each, counted in self.hours.items() if hour - HOURS < each <= hour}
        current = dict(kept.get(hour, {}))
        for name, value in stand.items():
            if rise := value - before.get(name, 0):
                current[name] = current.get(name, 0) + rise
        began = self.began if kept else now
        return LastDay({**kept, hour: current}, life, stand, began)

    def sums(self, now: float) -> dict[str, int]:
        """Each counter's rise within the hour of `now` and the 23 before."""
        hour = int(now // _HOUR)
        summed: dict[str, int] = {}
        for each, counted in self.hours.items():
            if hour - HOURS < each <= hour:
                for name, rise in counted.items():
                    summed[name] = summed.get(name, 0) + rise
        return summed

    def since(self, now: float) -> float:
        """From when on there are figures, in seconds since the epoch: the begin of an hour, or of them all."""
        hour = int(now // _HOUR)
        first = min((each for each in self.hours if hour - HOURS < each <= hour), default=hour)
        return max(float(first * _HOUR), min(self.began, now))

    def encode(self) -> bytes:
        """As a document."""
        hours = {str(hour): dict(counted) for hour, counted in sorted(self.hours.items())}
        told = {"hours": hours, "life": self.life, "totals": dict(self.totals), "began": self.began}
        return json.dumps(told).encode()

    @classmethod
    def decode(cls, data: bytes | None) -> LastDay:
        """What a document says; nothing where there is none, or it cannot be read: these are figures, no more."""
        try:
            told = json.loads(data or b"{}")
            hours = {int(hour): _totals(counted) for hour, counted in told["hours"].items()}
            return cls(hours, str(told["life"]), _totals(told["totals"]), float(told.get("began", 0.0)))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


def _totals(told: Mapping[str, int]) -> Totals:
    return {str(name): int(value) for name, value in told.items()}
