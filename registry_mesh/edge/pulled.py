"""Counts of what clients fetched, gathered in memory until they are taken: by caller and thing."""

from __future__ import annotations

from typing import Final, NamedTuple

from registry_mesh.ports.pulls import Pull

MOST: Final = 100_000
"""Callers and things that are told apart until they are taken; others are counted together."""
OTHERS: Final = "(others)"
ANSWER: Final = 1 << 64
"""One answer, in a number that has the bytes of all answers below it: a hit of a part adds both at once."""


class Thing(NamedTuple):
    """What was fetched. `kind`: manifest or blob; `tag` by which it was asked for, else empty."""

    registry: str
    repository: str
    kind: str
    digest: str
    tag: str = ""


class Fetched:
    """How often a hot answer was given, by caller. `whole`: answers with all `size` bytes of it, whose number is added
    to in half the time; `parts`: `ANSWER` for each other one and its bytes."""

    __slots__ = ("parts", "size", "thing", "whole")

    def __init__(self, thing: Thing, size: int) -> None:
        self.thing = thing
        self.size = size
        self.whole: dict[str, int] = {}
        self.parts: dict[str, int] = {}


class Pulled:
    """Of one listener. Hits count in `Fetched`, by themselves; each is noted here when it has its first count."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Thing, str], list[int]] = {}
        self._fetched: list[Fetched] = []
        self._begun = 0
        """Counts in those."""

    def begin(self, fetched: Fetched, counts: dict[str, int], who: str, amount: int) -> None:
        """Count a hit that is the caller's first in `counts`, one of those of `fetched`, since they were taken."""
        if not fetched.whole and not fetched.parts:
            self._fetched.append(fetched)
        if self._begun >= MOST:
            who = OTHERS
        else:
            self._begun += 1
        counts[who] = counts.get(who, 0) + amount

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
            for who, count in fetched.whole.items():
                self.add(fetched.thing, who, count, count * fetched.size)
            for who, count in fetched.parts.items():
                self.add(fetched.thing, who, *divmod(count, ANSWER))
            fetched.whole.clear()
            fetched.parts.clear()
        taken, self._counts = self._counts, {}
        return [Pull(day, site, *thing, who, pulls, size) for (thing, who), (pulls, size) in taken.items()]
