"""An origin's repositories as rules fill them from other registries: beside what is pushed, and never over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import Conflict
from registry_mesh.ports.happenings import PUSH, Happening
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.of_replica import REPLICATION, ReplicaRepository
from registry_mesh.repositories.tag_log import TagEntry

_NOWHERE: Final = "_/"
"""Where nothing is: no repository's name begins so."""


class FilledRepositories:
    """Implements `ports.repositories.RepositoryStore`. `own`: the origin's registry; nothing is kept of any other."""

    def __init__(self, own: RegistryName, repositories: Repositories) -> None:
        self._own = own
        self._repositories = repositories

    def repository(self, registry: RegistryName, name: RepositoryName) -> FilledRepository:
        """One of the origin's own; of another registry one that has nothing."""
        here = name if registry == self._own else RepositoryName(f"{_NOWHERE}{name}")
        return FilledRepository(registry, here, self._repositories)

    async def repositories(self, registry: RegistryName, last: str = "") -> AsyncIterator[RepositoryName]:
        """None: what is not wanted any more is looked after by nobody, for it may have been pushed."""
        for name in tuple[RepositoryName, ...]():
            yield name

    async def let_go(
        self, registry: RegistryName, denied: Callable[[RepositoryName, Digest], bool]
    ) -> list[tuple[RepositoryName, Digest]]:
        """None, see `repositories`: an origin says itself what nobody may have (`access`, revocations)."""
        return []


class FilledRepository(ReplicaRepository):
    """One of them. What is brought counts in the quotas of its projects, as what is pushed does, and is told as a push
    is."""

    def __init__(self, registry: RegistryName, name: RepositoryName, origin: Repositories) -> None:
        super().__init__(registry, name, origin.parts(name), origin.records, origin.blobs, origin.lifecycle)
        self._policy = origin.policy
        self._origin = origin

    async def link(self, blob: Digest) -> None:
        """See `KeptRepository.link`. `QuotaExceeded` where its project has no room for it."""
        if await self._parts.blobs.linked_at(blob) is not None:
            return
        size = (await self._blobs.stat(blob)).size
        async with self._origin.quotas.taking(self._parts.name, size, blob) as share:
            await self._exist()  # what is in no repository is not counted
            await super().link(blob)
            share.add(blob, size)

    async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
        """See `KeptRepository.put_manifest`. `QuotaExceeded`."""
        size = len(manifest.data)
        async with self._origin.quotas.taking(self._parts.name, size, manifest.digest) as share:
            await self._exist()
            await super().put_manifest(manifest, left_out)
            share.add(manifest.digest, size)

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        """`Conflict` where somebody pushed the tag, or it never moves."""
        standing = await self._parts.tags.current(tag)
        if standing is not None and standing.descriptor is None:
            standing = None  # deleted: whatever it points at when it is moved was pushed since
        if standing is not None:
            self._demand_ours(tag, standing)
        who = Pusher(f"{REPLICATION} from {source}")
        expected = standing.digest if standing is not None else None
        number = standing.number if standing is not None else None
        await self._exist()
        told = Happening(
            PUSH,
            self._parts.name,
            target.digest,
            (tag,),
            target.media_type,
            target.size,
            who.subject,
            self._lifecycle.clock(),
        )
        begun = await self._origin.begin(told)
        await self._parts.tags.move(tag, target, who, partial(self._demand_same, tag, expected), number)
        await self._origin.announce(told, begun)

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """Where rules brought what it points at, and it may move."""
        standing = await self._parts.tags.current(tag)
        if standing is None or standing.descriptor is None:
            return False
        try:
            self._demand_ours(tag, standing)
        except Conflict:
            return False
        return await super().untag(tag, target, because, change)

    def _demand_ours(self, tag: Tag, standing: TagEntry) -> None:
        name = self._parts.name
        if not standing.by.startswith(f"{REPLICATION} from "):
            raise Conflict(f"{name}:{tag} was pushed by {standing.by or 'somebody'}: not overwritten")
        if self._policy.is_immutable(name, tag):
            raise Conflict(f"{name}:{tag} is immutable: it stays at {standing.digest}")

    def _demand_same(self, tag: Tag, expected: Digest | None, standing: Digest | None) -> None:
        if standing != expected:
            raise Conflict(f"{self._parts.name}:{tag} moved meanwhile: not overwritten")
