"""Blobs that are larger than the store of this node: what passed of them within a day."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from registry_mesh.findings.facts import UnkeptFacts

DAY: Final = 86400.0
MOST: Final = 64
"""Blobs; beyond, the one that passed longest ago is forgotten."""


class UnkeptToday:
    """Times are in seconds since the epoch."""

    def __init__(self) -> None:
        self._known: dict[str, UnkeptFacts] = {}

    def note(self, repository: str, digest: str, size: int, times: int, at: float) -> None:
        """The blob passed `times` times, for the last time at `at`."""
        before = self._known.pop(digest, UnkeptFacts(repository, digest, size, 0, at, at))
        last = max(at, before.last)
        self._known[digest] = replace(before, repository=repository, times=before.times + times, last=last)
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def facts(self, now: float) -> tuple[UnkeptFacts, ...]:
        """What passed within the last day; a blob that did not for so long is forgotten."""
        self._known = {key: each for key, each in self._known.items() if each.last > now - DAY}
        return tuple(self._known.values())
