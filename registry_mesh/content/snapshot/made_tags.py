"""Which held tags are made of tags of other names, and by which rules: no source has them under their own.

Noted before they are written, so that a crash between leaves none unknown; when lost, noted again with the next run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords

_KEY: Final = "receipts/made.json"

Made = Mapping[Tag, tuple[str, ...]]
"""By tag the rules that make it."""


class MadeTags:
    """Of all repositories."""

    def __init__(self, records: KeyedRecords) -> None:
        self._records = records
        self._made: dict[Place, dict[Tag, tuple[str, ...]]] = {}
        self._noted: dict[Place, dict[Tag, tuple[str, ...]]] = {}

    async def load(self) -> None:
        """What was noted; nothing where it cannot be read."""
        try:
            told = json.loads(await self._records.get(_KEY) or b"[]")
            self._made = {
                Place(RegistryName(each["registry"]), RepositoryName(each["repository"])): {
                    Tag(tag): tuple(map(str, by)) for tag, by in each["tags"].items()
                }
                for each in told
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            self._made = {}

    def of(self, place: Place) -> Made:
        """Those of one repository."""
        return self._made.get(place, {})

    @property
    def all(self) -> Mapping[Place, Made]:
        """Those of all repositories."""
        return self._made

    def note(self, place: Place, tag: Tag, rules: tuple[str, ...]) -> None:
        """That a tag is made now."""
        self._noted.setdefault(place, {})[tag] = rules

    async def flush(self) -> None:
        """Write what was noted, where that is new. `StoreFull`, `StoreBroken`."""
        merged = {place: dict(tags) for place, tags in self._made.items()}
        for place, tags in self._noted.items():
            merged.setdefault(place, {}).update(tags)
        self._noted = {}
        if merged == self._made:
            return
        self._made = merged
        document = [
            {"registry": place.registry, "repository": place.repository, "tags": tags}
            for place, tags in sorted(merged.items())
        ]
        await self._records.put(_KEY, json.dumps(document, sort_keys=True).encode())
