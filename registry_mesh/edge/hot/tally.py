"""Counts of hits, gathered for a turn of the loop and then added to the instruments together."""

from __future__ import annotations

import asyncio
from typing import Final

from registry_mesh.edge.meters import Meters

_METHODS: Final = ("GET", "HEAD")
_KINDS: Final = (
    ("blob", "blob", "2xx"),
    *(("manifest", kind, code) for kind in ("manifest", "tag") for code in ("2xx", "3xx")),
)


class Tally:
    """Of answers of one kind, since the last turn."""

    __slots__ = ("answers", "bytes")

    def __init__(self) -> None:
        self.answers = 0
        self.bytes = 0
        """Bytes of bodies sent."""


class Tallies:
    """Who adds to a tally calls `due`: at the loop's next turn the instruments get it."""

    def __init__(self, meters: Meters, loop: asyncio.AbstractEventLoop) -> None:
        self._meters = meters
        self._loop = loop
        self._all = {(end, method, kind, code): Tally() for end, kind, code in _KINDS for method in _METHODS}
        self.is_due = False

    def of(self, endpoint: str, method: str, kind: str, code: str = "2xx") -> Tally:
        """Answers of the class `code` to `method` at `endpoint`; `kind` is the cache counter's."""
        return self._all[endpoint, method, kind, code]

    def due(self) -> None:
        """Only while `is_due` is False: a hit's costs are counted in tens of nanoseconds."""
        self.is_due = True
        self._loop.call_soon(self.settle)

    def settle(self) -> None:
        """Add all that is new. Each answer counts as one that took less than the clock can tell: it left in the
        step that its request came in."""
        self.is_due = False
        meters = self._meters
        for (endpoint, method, kind, code), tally in self._all.items():
            if answers := tally.answers:
                meters.hit(endpoint, method, kind, answers, tally.bytes, 0.0, code)
                tally.answers = tally.bytes = 0
