"""Of which repositories those are made that a replica keeps under other names."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from registry_mesh.content.nest.other_names import OtherNames
from registry_mesh.content.snapshot.records.made_tags import MadeTags
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import Repository, RepositoryStore

_LOOK: Final = 2.0
"""Seconds for which what runs noted is believed."""

Beyond = Callable[[RegistryName, RepositoryName], Repository]


class MadeOf:
    """`beyond` of a replica: a repository there, whose blobs may be those of the ones that it is made of."""

    def __init__(self, records: Records, held: RepositoryStore, beyond: Beyond) -> None:
        self._made = MadeTags(records)
        self._held = held
        self._beyond = beyond
        self._looked = -_LOOK

    def repository(self, registry: RegistryName, name: RepositoryName) -> Repository:
        """The repository beyond."""
        place = Place(registry, name)
        there = self._beyond(registry, name)
        held = self._held.repository(registry, name).kept

        async def sources() -> Sequence[BlobSource]:
            return [self._beyond(each.registry, each.repository).blobs for each in await self._of(place)]

        return Repository(
            there.registry,
            there.name,
            OtherNames(held, there.blobs, sources),
            there.manifests,
            there.tags,
            there.referrers,
        )

    async def _of(self, place: Place) -> list[Place]:
        if time.monotonic() - self._looked >= _LOOK:
            await self._made.load()
            self._looked = time.monotonic()
        tags = self._made.all.get(place, {}).values()
        return sorted({of for one in tags for of, _ in one.of if of != place})
