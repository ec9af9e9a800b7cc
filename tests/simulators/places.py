"""The four places where rules are obeyed, each in memory: a replica, an origin that fills itself, a site that preloads,
and a registry that is pushed out to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from registry_mesh.catalog.signer import Signer
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.holdings.preloaded import (
    PreloadedRepositories,
    PreloadedSource,
    bring_by_reading,
)
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.copy_by_fill import CopyByFill
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.finding.jobs import Widths
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.content.snapshot.settings import Ours, SnapshotPolicy
from registry_mesh.content.snapshot.snapshot import Snapshot
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.repositories import KeptRepository, RegistrySource, Repository
from registry_mesh.replication.rules import Rules
from registry_mesh.repositories.filled import FilledRepositories
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.cloud import CLOUD
from tests.simulators.images import HOST, SourceRegistry
from tests.simulators.origins import memory_origin
from tests.simulators.unhurried import Unhurried

OWN = RegistryName("own.example")
PLACES = ("replica", "origin", "site", "outward")


@dataclass(slots=True)
class Offer(Unhurried):
    """A parent that offers what a simulated registry has."""

    source: SourceRegistry
    name: str = "parent"
    available: bool = True
    confirmed: bool = True
    lost: bool = False
    busy: bool = False
    load: float = 0.0
    late: float = 30.0
    distance: float = 0.0

    @property
    def parent(self) -> Offer:
        return self

    def repository(self, name: RepositoryName) -> Repository:
        return self.source.repository(name)


@dataclass(frozen=True, slots=True)
class _Outward:
    """Implements `ports.outward.PushedRepository` over repositories of a store of its own."""

    real: KeptRepository
    store: MemoryStore

    @property
    def kept(self) -> Repository:
        return self.real.kept

    async def has(self, blob: Descriptor) -> bool:
        try:
            await self.kept.blobs.stat(blob.digest)
        except (BlobUnknown, NameUnknown):
            return False
        return True

    async def push(self, blob: Descriptor, source: BlobSource, moved: Callable[[int], None]) -> None:
        async with source.open(blob.digest) as reading, self.store.ingest(blob.digest) as ingest:
            async for data in in_memory(reading):
                await ingest.write(data)
                moved(len(data))
            await ingest.commit(blob.digest)
        await self.real.link(blob.digest)

    async def link(self, blob: Digest) -> None:
        """It was pushed."""

    async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
        async with self.store.ingest(manifest.digest) as ingest:
            await ingest.write(manifest.data)
            await ingest.commit(manifest.digest)
        await self.real.put_manifest(manifest, left_out)

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        await self.real.tag(tag, target, source)

    async def hold(self, digest: Digest) -> bool:
        return await self.real.hold(digest)

    async def unhold(self, digest: Digest) -> None:
        await self.real.unhold(digest)

    async def pinned(self) -> Collection[Digest]:
        return await self.real.pinned()

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        return await self.real.untag(tag, target, because, change)

    def losing(self, tags: Collection[Tag]) -> _Outward:
        return self


@dataclass
class MemoryCloud:
    """Implements `ports.outward.OutwardRegistries`."""

    store: MemoryStore = field(default_factory=MemoryStore)

    def repository(self, registry: RegistryName, name: RepositoryName) -> _Outward:
        real = ReplicaRepositories(self.store.records, self.store, lambda: 0.0)
        return _Outward(real.repository(registry, name), self.store)


class RuledPlace:
    """One of `PLACES`, beside a source that a test fills. Each run is a process of its own."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.source = SourceRegistry()
        self.signers: dict[str, Signer] = {}
        self.now = 0.0
        self.meter = Meter()
        self.cloud = MemoryCloud()
        self._origin = memory_origin()
        self._store = self._origin.blobs if kind == "origin" else MemoryStore()
        self._records = self._origin.records if kind == "origin" else self._store.records
        self._slept = 0.0

    @property
    def target(self) -> RegistryName:
        """The registry under which what is brought is found."""
        return {"origin": OWN, "outward": CLOUD}.get(self.kind, HOST)

    async def run(self, rules: Rules) -> Outcome:
        async with self._side() as (ours, source):
            self.meter = Meter()
            policy = SnapshotPolicy(
                widths=Widths(1, 1),
                again=(),
                ticks=lambda: self._slept,
                sleep=self._sleep,
                referrers_every=0.0,
            )
            return await Snapshot(rules, {HOST: source}, ours, lambda: self.now, self.meter, policy).run()

    async def digest(self, name: str, tag: str) -> Digest | None:
        """What a tag points at there, as a run left it."""
        async with self._side() as (ours, _):
            if self.kind == "outward":
                kept = self.cloud.repository(CLOUD, RepositoryName(name)).kept
            else:
                kept = ours.repositories.repository(self.target, RepositoryName(name)).kept
            try:
                return (await kept.tags.resolve(Tag(tag))).descriptor.digest
            except (ManifestUnknown, NameUnknown):
                return None

    async def has(self, blob: Digest) -> bool:
        """Whether the bytes are there."""
        store = self.cloud.store if self.kind == "outward" else self._store
        try:
            await store.stat(blob)
        except BlobUnknown:
            return False
        return True

    @property
    def records(self) -> object:
        return self._records

    async def _sleep(self, seconds: float) -> None:
        self._slept += seconds

    @asynccontextmanager
    async def _side(self) -> AsyncIterator[tuple[Ours, RegistrySource]]:
        store, records = self._store, self._records
        fills = Fills(store, FillPolicy(complete_after=0))
        more = {"signers": self.signers}
        try:
            if self.kind == "site":
                offer = SiteRegistry([[Offer(self.source)]])  # type: ignore[list-item]
                site = Site(store, records, fills, {HOST: offer})
                served = PreloadedRepositories(site.repository, records)
                source = PreloadedSource(HOST, self.source, site.repository)
                yield Ours(store, bring_by_reading, served, records), source
                await site.close()
                return
            if self.kind == "origin":
                filled = FilledRepositories(OWN, self._origin)
                yield Ours(store, CopyByIngest(store), filled, records, own=OWN, **more), self.source
                return
            kept = ReplicaRepositories(records, store, lambda: self.now)
            bring = CopyByFill(store, fills, lambda name, digest, why: None)
            yield Ours(store, bring, kept, records, outward=self.cloud, **more), self.source
        finally:
            await fills.close()
