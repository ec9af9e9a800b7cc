"""A replica's repositories over one store: those of several registries, in an origin's layout.

A repository is kept under its registry's name and its own, `registry.example/atlas/athena`, so that everything
that walks an origin's store (self-check, collection) walks a replica's as well.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.documents import encode
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.digest_life import Lifecycle
from registry_mesh.repositories.facts import pinned
from registry_mesh.repositories.names import repository_names
from registry_mesh.repositories.of_origin import RepositoryReferrers, RepositoryTags
from registry_mesh.repositories.parts import RepositoryParts

HISTORY: Final = 20
"""Changes of a tag that are remembered."""

REPLICATION: Final = "replication"
"""Whose changes of tags are those of rules."""
_WHO: Final = Pusher(REPLICATION)


class ReplicaRepositories:
    """Implements `ports.repositories.RepositoryStore`."""

    def __init__(self, records: Records, blobs: BlobStore, clock: Callable[[], float]) -> None:
        self._records = records
        self._blobs = blobs
        self._lifecycle = Lifecycle(records, clock)

    def repository(self, registry: RegistryName, name: RepositoryName) -> ReplicaRepository:
        """The repository as the replica keeps it, apart from those of other registries."""
        kept = RepositoryName(f"{registry_component(registry)}/{name}")
        parts = RepositoryParts.of(kept, self._records, self._blobs, self._lifecycle.clock, HISTORY)
        return ReplicaRepository(registry, name, parts, self._records, self._blobs, self._lifecycle)

    async def repositories(self, registry: RegistryName, last: str = "") -> AsyncIterator[RepositoryName]:
        """The names that are kept of a registry, in order, after `last`."""
        prefix = f"{registry_component(registry)}/"
        async for name in repository_names(self._records, prefix, prefix + last):
            yield RepositoryName(name.removeprefix(prefix))

    async def let_go(
        self, registry: RegistryName, denied: Callable[[RepositoryName, Digest], bool]
    ) -> list[tuple[RepositoryName, Digest]]:
        """Hold no longer the `denied` ones of what is kept without a tag; gives them."""
        gone = []
        async for name in self.repositories(registry):
            repository = self.repository(registry, name)
            for digest in await repository.pinned():
                if denied(name, digest):
                    await repository.unhold(digest)
                    gone.append((name, digest))
        return gone


class ReplicaRepository:
    """Implements `ports.repositories.KeptRepository`."""

    def __init__(
        self,
        registry: RegistryName,
        name: RepositoryName,
        parts: RepositoryParts,
        records: Records,
        blobs: BlobStore,
        lifecycle: Lifecycle,
    ) -> None:
        tags = RepositoryTags(records, parts.keys, parts.tags)
        referrers = RepositoryReferrers(parts.shelf)
        self.kept = Repository(registry, name, parts.blobs, parts.shelf, tags, referrers)
        self._parts = parts
        self._records = records
        self._blobs = blobs
        self._lifecycle = lifecycle

    async def link(self, blob: Digest) -> None:
        """Let the repository name a blob that the store holds."""
        if await self._parts.blobs.linked_at(blob) is not None:
            return
        await self._lifecycle.touch(blob)
        await self._parts.blobs.link(await self._blobs.stat(blob), self._lifecycle.clock(), _WHO.subject)

    async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
        """What was brought for one rule stays when another leaves it out: only what both leave out is absent."""
        known = await self._parts.shelf.find(manifest.digest)
        if known is not None:
            both = left_out & known.left_out if known.is_current else left_out
            if both != known.left_out:
                await self._parts.shelf.leave_out(manifest.digest, both)
            return
        await self._lifecycle.touch(manifest.digest)
        await self._blobs.stat(manifest.digest)
        await self._parts.shelf.shelve(manifest, self._lifecycle.clock(), _WHO, left_out)

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        """Let a tag point to `target`, as `source` had it."""
        await self._exist()
        who = Pusher(f"{_WHO.subject} from {source}")
        await self._parts.tags.move(tag, target, who, lambda standing: None)

    async def hold(self, digest: Digest) -> bool:
        """Let the collection keep a manifest for itself; gives whether it did not before."""
        await self._exist()
        return await self._records.create(
            self._parts.keys.pin(digest), encode({"at": self._lifecycle.clock()})
        )

    async def unhold(self, digest: Digest) -> None:
        """Keep it for itself no longer: the collection takes it, where nothing else refers to it."""
        await self._records.delete([self._parts.keys.pin(digest)])

    async def pinned(self) -> list[Digest]:
        """What is kept for itself."""
        return await pinned(self._parts)

    async def _exist(self) -> None:
        if await self._records.get(self._parts.keys.existence) is None:
            await self._records.create(self._parts.keys.existence, encode({"at": self._lifecycle.clock()}))

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """Delete the tag as an origin does; what nothing refers to any more is the collection's."""
        who = Pusher(f"{_WHO.subject}: {because}")
        try:
            await self._parts.tags.move(tag, None, who, partial(_demand, target), change)
        except _Elsewhere:
            return False
        return True

    async def restore(self, tag: Tag, who: Pusher) -> Digest | None:
        """Point a deleted tag at what it was; None where it is not deleted, or was nothing. `@DIGEST` is kept for
        itself again, if its manifest is here."""
        if tag.startswith("@"):
            return await self._restore_pin(Digest.parse(tag.removeprefix("@")))
        history = await self._parts.tags.history(tag)
        if not history or history[-1].descriptor is not None:
            return None
        before = next((each.descriptor for each in reversed(history) if each.descriptor is not None), None)
        if before is None:
            return None
        await self._parts.tags.move(tag, before, who, lambda standing: None)
        return before.digest

    async def _restore_pin(self, digest: Digest) -> Digest | None:
        if await self._parts.shelf.find(digest) is None:
            return None
        await self._lifecycle.touch(digest)
        return digest if await self.hold(digest) else None


class _Elsewhere(Exception):
    """The tag points at something else, or is not there."""


def _demand(target: Digest, standing: Digest | None) -> None:
    if standing != target:
        raise _Elsewhere


def registry_component(registry: RegistryName) -> str:
    """The registry's name as a repository's component: a port's colon and an address's brackets replaced."""
    return re.sub(r"[^a-z0-9.-]+", "_", registry).strip("_")
