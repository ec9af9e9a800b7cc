"""Counts of what clients fetched, gathered in memory until they are taken: by caller and thing."""

from __future__ import annotations

from typing import Final, NamedTuple

from registry_mesh.ports.pulls import Pull

MOST: Final = 100_000
"""Callers and things that are told apart until they are taken; others are counted together."""
OTHERS: Final = "(others)"


class Thing(NamedTuple):
    """What was fetched. `kind`: manifest or blob; `tag` by which it was asked for, else empty."""

    registry: str
    repository: str
    kind: str
    digest: str
    tag: str = ""


class Fetched:
    """How often a hot answer was given: answers and bytes, by caller."""

    __slots__ = ("by_caller", "thing")

    def __init__(self, thing: Thing) -> None:
        self.thing = thing
        self.by_caller: dict[str, list[int]] = {}


class Pulled:
    """Of one listener. Hits count in `Fetched`, by themselves; each is noted here when it has its first count."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Thing, str], list[int]] = {}
        self._fetched: list[Fetched] = []
        self._begun = 0
        """Counts in those."""

    def begin(self, fetched: Fetched, who: str) -> list[int]:
        """The count of a hit that is the caller's first since counts were taken."""
        if not fetched.by_caller:
            self._fetched.append(fetched)
        if self._begun >= MOST:
            return fetched.by_caller.setdefault(OTHERS, [0, 0])
        self._begun += 1
        return fetched.by_caller.setdefault(who, [0, 0])

    def add(self, thing: Thing, who: str, pulls: int, size: int) -> None:
        """Count answers of `size` bytes together."""
        key = (thing, who)
        if key not in self._counts and len(self._counts) >= MOST:
            key = (thing._replace(digest="", tag=""), OTHERS)
        count = self._counts.setdefault(key, [0, 0])
        count[0] += pulls
        count[1] += size

    def take(self, day: str, site: str) -> list[Pull]:
        """What was counted since the last time."""
        noted, self._fetched, self._begun = self._fetched, [], 0
        for fetched in noted:
            counts, fetched.by_caller = fetched.by_caller, {}
            for who, (pulls, size) in counts.items():
                self.add(fetched.thing, who, pulls, size)
        taken, self._counts = self._counts, {}
        return [Pull(day, site, *thing, who, pulls, size) for (thing, who), (pulls, size) in taken.items()]
