"""How far a copy has come: values for a terminal, a page or a metric."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.content.snapshot.copying.images_coming import ImagesComing

_SMOOTHING: Final = 10.0
"""Seconds over which the rate is averaged."""


class Phase(enum.Enum):
    """What a run is at."""

    LISTING = "listing"
    COPYING = "copying"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a run. Sizes in bytes, rate in bytes a second, ETA in seconds."""

    phase: Phase
    repositories: int
    tags: int
    tags_done: int
    objects: int
    objects_done: int
    failed: int
    size: int
    size_done: int
    size_held: int
    """Of what the changed tags need, what was here already."""
    rate: float
    eta: float | None

    @property
    def size_left(self) -> int:
        """Bytes that are still to be copied; 0 where more came than manifests said."""
        return max(0, self.size - self.size_done)


@dataclass(slots=True)
class RuleProgress:
    """How far one rule has come; a tag of several rules counts at each, its bytes at the first."""

    tags: int = 0
    """Wanted."""
    held: int = 0
    """Of those, complete here now."""
    switched: int = 0
    bytes: int = 0
    left: int = 0
    """Bytes that are still to be moved; of a run that ended, those that it did not move."""


@dataclass(slots=True)
class Pace:
    """Bytes a second, averaged over a while: what came in between looks."""

    rate: float = 0.0
    looked: tuple[float, int] | None = None

    def look(self, now: float, size: int) -> float:
        """`size`: bytes that have come by `now`."""
        before, known = self.looked or (now, size)
        passed = now - before
        if passed > 0:
            weight = min(1.0, passed / _SMOOTHING) if self.rate else 1.0
            self.rate += weight * ((size - known) / passed - self.rate)
        if passed > 0 or self.looked is None:
            self.looked = (now, size)
        return self.rate


class Meter:
    """Counts what a run does. The clock is the caller's: `now` in seconds, never going back."""

    def __init__(self) -> None:
        self.phase = Phase.LISTING
        self.repositories = self.tags = self.tags_done = 0
        self.objects = self.objects_done = self.failed = 0
        self.size = self.size_done = self.size_held = 0
        self.rules: dict[str, RuleProgress] = {}
        self.images = ImagesComing()
        self._pace = Pace()
        self._paces: dict[str, Pace] = {}

    def of(self, rule: str) -> RuleProgress:
        """That of a rule, by its name."""
        return self.rules.setdefault(rule, RuleProgress())

    def expect(self, size: int, rules: Sequence[str]) -> None:
        """So many bytes more are to be moved (fewer where negative), by the first of `rules`."""
        self.size += size
        for name in rules[:1]:
            self.of(name).left += size

    def moved(self, key: Hashable, size: int, rules: Sequence[str]) -> None:
        """So many bytes of the part `key` were moved, by the first of `rules`."""
        self.images.moved(key, size)
        self.size_done += size
        for name in rules[:1]:
            rule = self.of(name)
            rule.bytes += size
            rule.left -= size

    def complete(self, key: Hashable, rules: Sequence[str]) -> None:
        """The part is where it is to be: what of it did not have to be moved is expected no longer."""
        self.objects_done += 1
        self.expect(-self.images.complete(key), rules)

    def look(self, now: float) -> Progress:
        """Where the run stands; the rate is what came in between looks."""
        rate, left = self._pace.look(now, self.size_done), max(0, self.size - self.size_done)
        return Progress(
            self.phase,
            self.repositories,
            self.tags,
            self.tags_done,
            self.objects,
            self.objects_done,
            self.failed,
            self.size,
            self.size_done,
            self.size_held,
            rate,
            left / rate if rate > 0 else None,
        )

    def rates(self, now: float) -> dict[str, float]:
        """Bytes a second of each rule, likewise."""
        return {
            name: self._paces.setdefault(name, Pace()).look(now, each.bytes)
            for name, each in self.rules.items()
        }
