"""Where tags are deleted: what is held here, and what was pushed out to other registries."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from registry_mesh.content.snapshot.records.made_tags import MadeTags
from registry_mesh.content.snapshot.removing.outgoing import OutgoingRepository
from registry_mesh.content.snapshot.removing.pinned import PinnedTarget
from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.ports.failures import SourceRefused
from registry_mesh.ports.outward import OutwardRegistries
from registry_mesh.ports.place import Outward, Place
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import EVERY, KeptTags, RepositoryStore, TagStore
from registry_mesh.replication.wanted import is_companion


class RemovalTargets(Protocol):
    """The places that a run may delete from."""

    def at(self, place: Place, going: Collection[Tag] = ()) -> KeptTags:
        """One of them, of which the tags `going` are to be deleted. `SourceRefused` where the node does not push there
        any more."""
        ...

    async def count(self, registry: RegistryName) -> int:
        """Tags that the guard takes for all of a registry."""
        ...


class HeldTargets:
    """Implements `RemovalTargets` for what is held here alone."""

    def __init__(self, store: TagStore) -> None:
        self._store = store

    def at(self, place: Place, going: Collection[Tag] = ()) -> KeptTags:
        """The repository as it is held."""
        return self._store.repository(place.registry, place.repository)

    async def count(self, registry: RegistryName) -> int:
        """Tags that are held of the registry, without companions."""
        count = 0
        async for name in self._store.repositories(registry):
            try:
                page = await self._store.repository(registry, name).kept.tags.tags(EVERY)
            except NameUnknown:
                continue
            count += sum(not is_companion(tag) for tag in page.tags)
        return count


class RuleTargets:
    """Implements `RemovalTargets` for a run that keeps what it takes under other names, and pushes out."""

    def __init__(
        self, store: RepositoryStore, outward: OutwardRegistries | None, records: Records, made: MadeTags
    ) -> None:
        self._store = store
        self._held = HeldTargets(store)
        self._outward = outward
        self._records = records
        self._made = made

    def at(self, place: Place, going: Collection[Tag] = ()) -> KeptTags:
        """The repository here, or at the registry that it is pushed to."""
        if not isinstance(place, Outward):
            return PinnedTarget(self._store.repository(place.registry, place.repository))
        if self._outward is None:
            raise SourceRefused(f"this node pushes nothing to {place.registry}")
        try:
            there = self._outward.repository(place.registry, place.repository)
        except KeyError:
            raise SourceRefused(f"this node pushes nothing to {place.registry} any more") from None
        return OutgoingRepository(place, there.losing(going), self._records)

    async def count(self, registry: RegistryName) -> int:
        """Tags that are held of it, or that rules made in it, whichever are more."""
        made = sum(len(tags) for place, tags in self._made.all.items() if place.registry == registry)
        return max(made, await self._held.count(registry))
