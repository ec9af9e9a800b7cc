"""Which tags are made of tags of other names, here or at registries that are pushed to: of which, and by which rules.

Noted before they are written, so that a crash between leaves none unknown; when lost, noted again with the next run,
and what no source makes any more stays for ever.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.place import Outward, Place
from registry_mesh.ports.records import KeyedRecords

_KEY: Final = "receipts/made.json"

Made = Mapping[Tag, tuple[str, ...]]
"""By tag the rules that make it."""


@dataclass(frozen=True, slots=True)
class MadeTag:
    """By which rules a tag is made, and of which tags: places and names. `here`: since when, `held_until`: what a
    `hold` promised, both in seconds since the epoch."""

    rules: tuple[str, ...]
    of: tuple[tuple[Place, Tag], ...] = ()
    here: float = 0.0
    held_until: float | None = None

    def also(self, other: MadeTag) -> MadeTag:
        """Made by two sources in one run."""
        held = [each for each in (self.held_until, other.held_until) if each is not None]
        return MadeTag(
            tuple(sorted({*self.rules, *other.rules})),
            tuple(sorted({*self.of, *other.of})),
            min(self.here, other.here),
            max(held, default=None),
        )


class MadeTags:
    """Of all places."""

    def __init__(self, records: KeyedRecords) -> None:
        self._records = records
        self._made: dict[Place, dict[Tag, MadeTag]] = {}
        self._kept: dict[Place, dict[Tag, MadeTag]] = {}
        """As it is written."""
        self._noted: dict[Place, dict[Tag, MadeTag]] = {}

    async def load(self) -> None:
        """What was noted; nothing where it cannot be read."""
        try:
            told = json.loads(await self._records.get(_KEY) or b"[]")
            self._made = {
                _place(each): {Tag(tag): _tag(one) for tag, one in each["tags"].items()} for each in told
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            self._made = {}
        self._kept = self._made

    def of(self, place: Place) -> Made:
        """Those of one repository, and the rules that make them."""
        return {tag: one.rules for tag, one in self._made.get(place, {}).items()}

    @property
    def all(self) -> Mapping[Place, Mapping[Tag, MadeTag]]:
        """Those of all repositories, as they were noted last."""
        return self._made

    def note(self, place: Place, tag: Tag, one: MadeTag) -> None:
        """That a tag is made now."""
        noted = self._noted.setdefault(place, {})
        noted[tag] = one if tag not in noted else noted[tag].also(one)

    def drop(self, place: Place, tags: Collection[Tag]) -> None:
        """That tags are there no longer; to be written by `flush`."""
        left = {tag: one for tag, one in self._made.get(place, {}).items() if tag not in tags}
        self._made = {each: known for each, known in self._made.items() if each != place}
        if left:
            self._made[place] = left

    async def flush(self) -> None:
        """Write what was noted and dropped, where that is new. `StoreFull`, `StoreBroken`."""
        merged = {place: dict(tags) for place, tags in self._made.items()}
        for place, tags in self._noted.items():
            known = merged.setdefault(place, {})
            for tag, one in tags.items():
                known[tag] = replace(one, here=known[tag].here) if tag in known and known[tag].of else one
        self._made, self._noted = merged, {}
        if merged != self._kept:
            await self._write()
            self._kept = merged

    async def _write(self) -> None:
        document = [
            {"registry": place.registry, "repository": place.repository}
            | ({"outward": True} if isinstance(place, Outward) else {})
            | {"tags": {tag: _document(one) for tag, one in tags.items()}}
            for place, tags in sorted(self._made.items(), key=lambda each: str(each[0]))
        ]
        await self._records.put(_KEY, json.dumps(document, sort_keys=True).encode())


def _place(said: Mapping[str, Any]) -> Place:  # Any: JSON as it was kept
    kind = Outward if said.get("outward") else Place
    return kind(RegistryName(said["registry"]), RepositoryName(said["repository"]))


def _tag(said: Any) -> MadeTag:  # Any: JSON as it was kept
    """Before it was told of what a tag is made, there was a list of rules."""
    if isinstance(said, list):
        return MadeTag(tuple(map(str, said)))
    of = tuple((Place.parse(place), Tag(tag)) for place, tag in said["of"])
    held = said.get("held_until")
    return MadeTag(
        tuple(map(str, said["rules"])), of, float(said["here"]), None if held is None else float(held)
    )


def _document(one: MadeTag) -> dict[str, Any]:
    return {
        "rules": list(one.rules),
        "of": [[str(place), tag] for place, tag in one.of],
        "here": one.here,
        "held_until": one.held_until,
    }
