"""Values of tags that a person lets through before their `age`: one digest each, with name and reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords

_KEY: Final = "receipts/released.json"
_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Release:
    """One value, by whom, why, and when (seconds since the epoch)."""

    registry: RegistryName
    repository: RepositoryName
    tag: Tag
    digest: str
    by: str
    why: str
    at: float

    def __str__(self) -> str:
        reason = f": {self.why}" if self.why else ""
        return f"{self.registry}/{self.repository}:{self.tag} was let through before its time by {self.by}{reason}"


class Releases:
    """All that were let through lately."""

    def __init__(self, records: KeyedRecords) -> None:
        self._records = records
        self._known: tuple[Release, ...] = ()

    async def load(self) -> None:
        """What was noted; nothing where it cannot be read. `StoreBroken`."""
        try:
            told = json.loads(await self._records.get(_KEY) or b"[]")
            self._known = tuple(Release(**each) for each in told)
        except (ValueError, TypeError):
            self._known = ()

    def of(self, place: Place) -> Mapping[tuple[Tag, str], Release]:
        """Those of one repository, by tag and digest."""
        here = (each for each in self._known if (each.registry, each.repository) == _key(place))
        return {(each.tag, each.digest): each for each in here}

    async def note(self, release: Release) -> None:
        """Let a value through. `StoreFull`, `StoreBroken`."""
        await self.load()
        self._known = (*self._known, release)[-_KEPT:]
        await self._records.put(_KEY, json.dumps([asdict(each) for each in self._known]).encode())


def _key(place: Place) -> tuple[RegistryName, RepositoryName]:
    return place.registry, place.repository
