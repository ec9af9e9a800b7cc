"""What a node remembers of tags for its rules: since when each shows its value, how often it moved, and what holds it.

Lost, the clock of `age` begins again, and nothing is deleted until it is seen again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.replication.rules import Rule

WATCHED: Final = 14 * 86400.0
"""Seconds for which moves are counted."""
_MOST: Final = 100
_BELOW: Final = "receipts/"
_NAME: Final = "remembered.json"
_ASKED: Final = "receipts/asked.json"


@dataclass(frozen=True, slots=True)
class TagMemory:
    """A value, since when its source shows it without a break, and when it came to show another (seconds since the
    epoch)."""

    digest: str
    since: float
    moves: tuple[float, ...] = ()
    here: float | None = None
    """Since when a rule takes it."""
    held_until: float | None = None
    """What a `hold` promised; infinity is for ever."""

    def moved(self, now: float) -> int:
        """How often it moved in the 14 days before `now`."""
        return sum(now - each < WATCHED for each in self.moves)

    def taken(self, rules: Iterable[Rule], now: float) -> TagMemory:
        """What is remembered when `rules` take it at `now`."""
        rules = tuple(rules)
        here = now if self.here is None else self.here
        promised = [each for rule in rules if rule.hold and (each := rule.hold.until_when(here)) > now]
        kept = [self.held_until] if self.held_until is not None and self.held_until > now else []
        until = max([*promised, *kept], default=None)
        return replace(self, here=here, held_until=until)

    def seen(self, digest: str, now: float) -> TagMemory:
        """What is remembered after a look at `now`."""
        if digest == self.digest:
            return self
        moves = tuple(each for each in (*self.moves, now) if now - each < WATCHED)
        return replace(self, digest=digest, since=now, moves=moves[-_MOST:])


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

    async def places(self) -> AsyncIterator[Place]:
        """The repositories of which anything is remembered."""
        async for key in self._records.walk(_BELOW):
            place, _, name = key.removeprefix(_BELOW).rpartition("/")
            if name == _NAME and place:
                yield Place.parse(place)

    def note(self, place: Place, tags: Mapping[Tag, TagMemory]) -> None:
        """All that is to be remembered of a repository."""
        self._fresh[place] = tags

    async def forget(self, place: Place, tags: Collection[Tag]) -> None:
        """What is remembered of `tags`: one that is brought back begins anew."""
        known = self._fresh.get(place) or await self.of(place)
        self._fresh[place] = {tag: memory for tag, memory in known.items() if tag not in tags}

    async def let_go(self, place: Place, tags: Collection[Tag]) -> None:
        """Forget since when `tags` are here, and what holds them. What their source shows, and since when, is still
        known, so that what is past its newest is not new again when it is gone."""
        known = self._fresh.get(place) or await self.of(place)
        self._fresh[place] = {
            tag: replace(memory, here=None, held_until=None) if tag in tags else memory
            for tag, memory in known.items()
        }

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
    return f"{_BELOW}{place}/{_NAME}"


def _memory(value: Mapping[str, object]) -> TagMemory:
    moves = value["moves"]
    told = tuple(float(each) for each in moves) if isinstance(moves, list) else ()
    here, held_until = _time(value.get("here")), _time(value.get("held_until"))
    return TagMemory(str(value["digest"]), float(str(value["since"])), told, here, held_until)


def _time(value: object) -> float | None:
    return None if value is None else float(str(value))
