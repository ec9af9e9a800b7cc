"""A replica's side of a snapshot, in memory, beside a source that a test misleads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from registry_mesh.catalog.signer import Signer
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.copy_by_fill import CopyByFill
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.finding.jobs import Widths
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.content.snapshot.settings import Ours, SnapshotPolicy
from registry_mesh.content.snapshot.snapshot import Snapshot
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.ports.outward import OutwardRegistries
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.rules import Platforms, Rule, Rules, Selection
from registry_mesh.replication.subject import Subject
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.images import HOST, SourceRegistry
from tests.simulators.kept import DiaryRepositories


class Replica:
    """A store, a source, rules, and a clock."""

    def __init__(self, *rules: Rule, fill: bool = False) -> None:
        self.source = SourceRegistry()
        self.blobs = MemoryStore()
        self.repositories = DiaryRepositories(self.blobs.records, self.blobs)
        self.fill = fill
        self.rules = Rules(rules)
        self.now = 1_000.0
        self.clock: Callable[[], float] | None = None
        """Asked in place of `now`, where set."""
        self.by_hand = False
        self.rate: float | None = None
        self.slept = 0.0
        """Seconds that the run waited for its pace; on a clock of their own."""
        self.widths = Widths()
        self.again = (0.0, 0.0, 0.0)
        self.pace: Callable[[float], Awaitable[None]] = self._sleep
        """Waits so many seconds."""
        self.meter = Meter()
        self.distrusted: list[str] = []
        self.signers: Mapping[str, Signer] = {}
        self.unusable: Mapping[str, str] = {}
        self.outward: OutwardRegistries | None = None

    async def run(self) -> Outcome:
        self.source.asked.clear()
        self.source.sent = 0
        fills = Fills(self.blobs, FillPolicy(complete_after=0))
        bring = (
            CopyByFill(self.blobs, fills, self.distrust)
            if self.fill
            else CopyByIngest(self.blobs, self.distrust)
        )
        ours = Ours(
            self.blobs,
            bring,
            self.repositories,
            self.blobs.records,
            signers=self.signers,
            unusable=self.unusable,
            outward=self.outward,
        )
        self.meter = Meter()
        clock = self.clock or (lambda: self.now)
        policy = SnapshotPolicy(
            widths=self.widths,
            again=self.again,
            by_hand=self.by_hand,
            rate=self.rate,
            ticks=lambda: self.slept,
            sleep=self.pace,
        )
        snapshot = Snapshot(self.rules, {HOST: self.source}, ours, clock, self.meter, policy)
        try:
            return await snapshot.run()
        finally:
            await fills.close()

    async def _sleep(self, seconds: float) -> None:
        """Time passes for nobody else."""
        self.slept += seconds

    def distrust(self, source: str, digest: Digest, reason: str) -> None:
        self.distrusted.append(source)

    def held(self, name: str) -> Repository:
        return self.repositories.repository(HOST, RepositoryName(name)).kept

    async def tags(self, name: str) -> dict[str, Digest]:
        """What the tags of a repository point at, by a client's way."""
        try:
            page = await self.held(name).tags.tags(1_000)
        except NameUnknown:
            return {}
        return {tag: (await self.held(name).tags.resolve(tag)).descriptor.digest for tag in page.tags}

    async def has(self, name: str, manifest: Manifest) -> bool:
        try:
            return (await self.held(name).manifests.manifest(manifest.digest)).manifest.data == manifest.data
        except ManifestUnknown:
            return False

    async def has_blob(self, digest: Digest) -> bool:
        try:
            return bool(await self.blobs.stat(digest))
        except BlobUnknown:
            return False


def rule(repos: str, tags: str = "*", platforms: Platforms = None, registry: RegistryName = HOST) -> Rule:
    def selection(subject: Subject, patterns: str) -> Selection:
        return Selection(tuple(Pattern.parse(each, subject) for each in patterns.split()))

    return Rule(
        repos, registry, selection(Subject.REPOSITORY, repos), selection(Subject.TAG, tags), platforms
    )
