"""Counts of hits, gathered for a turn of the loop and then added to the instruments together."""

from __future__ import annotations

import asyncio

from registry_mesh.edge.meters import Meters


class Tally:
    """Of answers of one kind, since the last turn."""

    __slots__ = ("_code", "_endpoint", "_kind", "_meters", "_method", "_registry", "answers", "bytes")

    def __init__(
        self, meters: Meters, registry: str, endpoint: str, method: str, kind: str, code: str
    ) -> None:
        self._meters = meters
        self._registry = registry
        self._endpoint = endpoint
        self._method = method
        self._kind = kind
        self._code = code
        self.answers = 0
        self.bytes = 0
        """Bytes of bodies sent."""

    def add_up(self) -> None:
        """Add what is new. Each answer counts as one that took less than the clock can tell: it left in the step
        that its request came in."""
        self._meters.hit(
            self._registry,
            self._endpoint,
            self._method,
            self._kind,
            self.answers,
            self.bytes,
            0.0,
            self._code,
        )
        self.answers = self.bytes = 0


class Tallies:
    """A caller that adds to a tally without answers calls `due`: at the loop's next turn the instruments get it."""

    def __init__(self, meters: Meters, loop: asyncio.AbstractEventLoop) -> None:
        self._meters = meters
        self._loop = loop
        self._all: dict[tuple[str, ...], Tally] = {}
        self._due: list[Tally] = []

    def of(self, registry: str, endpoint: str, method: str, kind: str, code: str = "2xx") -> Tally:
        """Answers of the class `code` to `method` at `endpoint`; `kind` is the cache counter's."""
        key = (registry, endpoint, method, kind, code)
        if key not in self._all:
            self._all[key] = Tally(self._meters, *key)
        return self._all[key]

    def due(self, tally: Tally) -> None:
        """Only while it has no answers: a hit's costs are counted in tens of nanoseconds."""
        if not self._due:
            self._loop.call_soon(self.add_up)
        self._due.append(tally)

    def add_up(self) -> None:
        """Add all that is new."""
        due, self._due = self._due, []
        for tally in due:
            tally.add_up()
