"""Nests: every implementation of the ports, alone and in others, each with the same content at its bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.repositories import EVERY, RegistrySource, Repository
from registry_mesh.ports.role import Role
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.roles.origin import Origin
from registry_mesh.roles.replica import Replica
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.bucket.cache import S3CacheStore
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.simulators.origins import bucket_origin, disk_origin, memory_origin, pushes
from tests.simulators.unhurried import Unhurried
from tests.simulators.upstream import PATIENT
from tests.suites.bytes_of import read
from tests.suites.library import LIBRARY, NAME, OTHER, REGISTRY, Library, bring, push, push_small


@dataclass(slots=True)
class NearParent(Unhurried):
    """A parent in this process, which always answers. Implements `ports.parents.ParentRegistry`."""

    registry: RegistrySource
    name: str = "near"
    available: bool = True
    reason: str = ""
    confirmed: bool = True
    lost: bool = False
    late: float = 30.0
    hush: float = 30.0
    load: float = 0.0
    distance: float = 0.0
    busy: bool = False

    @property
    def parent(self) -> NearParent:
        return self

    def repository(self, name: RepositoryName) -> Repository:
        return self.registry.repository(name)

    def repositories(self) -> AsyncIterator[RepositoryName]:
        return self.registry.repositories()


@dataclass(frozen=True, slots=True)
class RoleRegistry:
    """The one registry of a role. Implements `ports.repositories.RegistrySource`."""

    role: Role

    def repository(self, name: RepositoryName) -> Repository:
        return self.role.repository(REGISTRY, name)

    def repositories(self) -> AsyncIterator[RepositoryName]:
        return self.role.repositories(REGISTRY)


def _anybody(who: Pusher, name: RepositoryName) -> bool:
    return True


@dataclass(slots=True)
class Ground:
    """Where the stores of one nest lie, and what is closed with it."""

    stack: AsyncExitStack
    folder: Path
    bucket: Callable[[Path | None], S3Settings]
    """Settings of a prefix that nobody else uses, with the spool where one is given."""

    def below(self, name: str) -> Path:
        """A folder of its own."""
        return self.folder / f"{name}-{len(list(self.folder.iterdir()))}"

    async def memory(self) -> MemoryStore:
        return MemoryStore()

    async def disk(self) -> DiskStore:
        store = await DiskStore.start(self.below("disk"), fsync=DiskFsync.NEVER)
        self.stack.push_async_callback(store.close)
        return store

    async def s3(self) -> S3Store:
        store = await S3Store.start(self.bucket(None))
        self.stack.push_async_callback(store.close)
        return store

    async def s3_cache(self) -> S3CacheStore:
        store = await S3CacheStore.start(self.bucket(self.below("spool")))
        self.stack.push_async_callback(store.close)
        return store

    async def store(self, kind: str) -> MemoryStore | DiskStore | S3Store:
        """A store in `memory`, on a `disk` or in a `bucket`."""
        if kind == "disk":
            return await self.disk()
        return await self.s3() if kind == "bucket" else await self.memory()

    # -- the bottom ---------------------------------------------------------------------------------------------

    async def origin(self, kind: str = "memory") -> RegistrySource:
        """An origin that was pushed to."""
        repositories = await self.repositories(kind)
        for name, give in ((NAME, push), (OTHER, push_small)):
            await give(pushes(repositories.repository(REGISTRY, name)))
        return RoleRegistry(Origin(REGISTRY, repositories.repository, repositories.names))

    async def empty_origin(self) -> RegistrySource:
        """An origin that nobody has pushed to."""
        repositories = await self.repositories("memory")
        return RoleRegistry(Origin(REGISTRY, repositories.repository, repositories.names))

    async def repositories(self, kind: str) -> Repositories:
        """An origin's repositories, which anybody may read: in memory, on a disk or in a bucket."""
        if kind == "disk":
            return await disk_origin(self.below("origin"), may_read=_anybody)
        if kind == "bucket":
            return bucket_origin(await self.s3(), may_read=_anybody)
        return memory_origin(may_read=_anybody)

    async def replica(self, kind: str = "memory", beyond: RegistrySource | None = None) -> RegistrySource:
        """A replica that holds the repository, or, with a registry `beyond`, half of it."""
        store = await self.store(kind)
        held = ReplicaRepositories(store.records, store, lambda: 1_800_000_000.0)
        kept = held.repository(REGISTRY, NAME)
        if beyond is None:
            await bring(kept, store)
            return RoleRegistry(Replica(held, [REGISTRY]))
        await bring(kept, store, half())
        return RoleRegistry(Replica(held, [REGISTRY], beyond=lambda _, name: beyond.repository(name)))

    # -- above it -----------------------------------------------------------------------------------------------

    async def over_http(self, registry: RegistrySource, name: str = "origin") -> UpstreamRegistry:
        """The same by way of an edge, a socket and an upstream client."""
        server = Server(Plain(registry, name), Settings())
        await server.start()
        self.stack.push_async_callback(server.close)
        session = await self.stack.enter_async_context(open_session(Way(hosts=frozenset({"127.0.0.1"}))))
        return UpstreamRegistry(
            ParentSession(session, f"http://127.0.0.1:{server.port}", None, PATIENT, ns="always"), REGISTRY
        )

    async def failover(self, *registries: RegistrySource) -> RegistrySource:
        """The first of them that can tell."""
        groups = [[NearParent(each, f"parent-{number}")] for number, each in enumerate(registries)]
        return FailoverRegistry(REGISTRY, groups, Distrusted())

    async def site(self, kind: str, parent: RegistrySource) -> RegistrySource:
        """A site that holds nothing yet."""
        shared = await self.s3_cache() if kind == "bucket" else None
        store = shared or (await self.disk() if kind == "disk" else await self.memory())
        fills = Fills(store)
        site = Site(
            store, store.records, fills, {REGISTRY: SiteRegistry([[NearParent(parent)]])}, shared=shared
        )
        self.stack.push_async_callback(fills.close)
        self.stack.push_async_callback(site.close)
        return RoleRegistry(site)


@dataclass(frozen=True, slots=True)
class Plain:
    """A role that is one registry. Implements `ports.role.Role`."""

    registry: RegistrySource
    name: str = "origin"
    registries: frozenset[str] = frozenset({REGISTRY})

    def repository(self, registry: str | None, name: RepositoryName) -> Repository:
        return self.registry.repository(name)

    def repositories(self, registry: RegistryName | None, last: str = "") -> AsyncIterator[RepositoryName]:
        return self._after(last)

    async def _after(self, last: str) -> AsyncIterator[RepositoryName]:
        for name in sorted([name async for name in self.registry.repositories() if name > last]):
            yield name


def half() -> Library:
    """One of the images, with its tags and without its referrers."""
    one = LIBRARY.subject
    blobs = {each.digest: LIBRARY.blobs[each.digest] for each in one.blobs()}
    tags = {tag: digest for tag, digest in LIBRARY.tags.items() if digest == one.digest}
    return Library(blobs, {one.digest: one}, tags, one, ())


async def _read_all(registry: RegistrySource) -> RegistrySource:
    """Bring all of it into every store above the bottom."""
    repository = registry.repository(NAME)
    for tag in LIBRARY.tags:
        await repository.tags.resolve(tag)
    for digest in LIBRARY.manifests:
        await repository.manifests.manifest(digest)
    for digest, data in LIBRARY.blobs.items():
        assert await read(repository.blobs, digest) == data
    await repository.tags.tags(EVERY)
    await repository.referrers.referrers(LIBRARY.subject.digest)
    return registry


async def _three_deep(ground: Ground) -> RegistrySource:
    replica = await ground.over_http(await ground.replica(), "replica")
    near = await ground.over_http(await ground.site("disk", replica), "site")
    return await ground.over_http(await ground.site("memory", near), "site")


Make = Callable[[Ground], Awaitable[RegistrySource]]

REGISTRIES: Final[dict[str, Make]] = {
    "origin in memory": lambda ground: ground.origin(),
    "origin on a disk": lambda ground: ground.origin("disk"),
    "replica in memory": lambda ground: ground.replica(),
    "replica on a disk": lambda ground: ground.replica("disk"),
    "over http": lambda ground: _over(ground, ground.over_http),
    "failover": lambda ground: _failover(ground),
    "fall-through": lambda ground: _over(ground, lambda beyond: ground.replica("memory", beyond)),
    "site in memory": lambda ground: _over(ground, lambda parent: ground.site("memory", parent)),
    "site on a disk": lambda ground: _over(ground, lambda parent: ground.site("disk", parent)),
    "site that has it all": lambda ground: _warm(ground),
    "three deep over http": _three_deep,
}
"""Every nest of repositories without a bucket."""

BUCKETS: Final[dict[str, Make]] = {
    "origin in a bucket": lambda ground: ground.origin("bucket"),
    "replica in a bucket": lambda ground: ground.replica("bucket"),
    "site on a bucket": lambda ground: _over(ground, lambda parent: ground.site("bucket", parent)),
}


async def _over(ground: Ground, put: Callable[[RegistrySource], Awaitable[RegistrySource]]) -> RegistrySource:
    return await put(await ground.origin())


async def _failover(ground: Ground) -> RegistrySource:
    return await ground.failover(await ground.empty_origin(), await ground.origin())


async def _warm(ground: Ground) -> RegistrySource:
    return await _read_all(await ground.site("disk", await ground.origin()))


def no_bucket(spool: Path | None) -> S3Settings:
    """For the `bucket` of a ground without one."""
    raise AssertionError("this nest has no bucket")
