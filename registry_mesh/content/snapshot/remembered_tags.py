"""What a node remembers of tags for its rules: since when each shows its value, and how often it moved.

Lost, the clock of `age` begins again: nothing is taken too early for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records

WATCHED: Final = 14 * 86400.0
"""Seconds for which moves are counted."""
_MOST: Final = 100
_ASKED: Final = "receipts/asked.json"


@dataclass(frozen=True, slots=True)
class TagMemory:
    """A value, since when its source shows it without a break, and when it came to show another (seconds since the
    epoch)."""

    digest: str
    since: float
    moves: tuple[float, ...] = ()

    def seen(self, digest: str, now: float) -> TagMemory:
        """What is remembered after a look at `now`."""
        if digest == self.digest:
            return self
        moves = tuple(each for each in (*self.moves, now) if now - each < WATCHED)
        return TagMemory(digest, now, moves[-_MOST:])


class RememberedTags:
    """The memory of all repositories; what was noted is written by `flush`."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._fresh: dict[Place, Mapping[Tag, TagMemory]] = {}

    async def of(self, place: Place) -> dict[Tag, TagMemory]:
        """Of a repository; nothing where the document cannot be read."""
        data = await self._records.get(_key(place))
        try:
            return {Tag(tag): _memory(value) for tag, value in json.loads(data or b"{}").items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return {}

    def note(self, place: Place, tags: Mapping[Tag, TagMemory]) -> None:
        """All that is to be remembered of a repository."""
        self._fresh[place] = tags

    async def asked(self) -> dict[str, float]:
        """By rule, when its sources were asked last."""
        try:
            found = json.loads(await self._records.get(_ASKED) or b"{}")
            return {str(rule): float(at) for rule, at in found.items()}
        except (ValueError, TypeError, AttributeError):
            return {}

    async def flush(self, asked: Mapping[str, float]) -> None:
        """Write what was noted; `asked` where it changed."""
        fresh, self._fresh = self._fresh, {}
        for place, tags in fresh.items():
            document = {tag: asdict(memory) for tag, memory in sorted(tags.items())}
            await self._records.put(_key(place), json.dumps(document).encode())
        if asked:
            merged = await self.asked() | dict(asked)
            await self._records.put(_ASKED, json.dumps(merged, sort_keys=True).encode())


def _key(place: Place) -> str:
    return f"receipts/{place.registry}/{place.repository}/remembered.json"


def _memory(value: Mapping[str, object]) -> TagMemory:
    moves = value["moves"]
    told = tuple(float(each) for each in moves) if isinstance(moves, list) else ()
    return TagMemory(str(value["digest"]), float(str(value["since"])), told)
