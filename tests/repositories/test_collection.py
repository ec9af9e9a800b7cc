"""Nothing referenced is ever collected, and in the end everything else is.

`walk` lets pushers, deleters and collectors loose on one store, their steps interleaved as a seed decides, and
looks after every round whether everything that should be there is. ORIGIN_SEEDS=5000 tries more of them.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestBlobUnknown, ManifestUnknown, Refusal
from registry_mesh.ports.documents import decode, encode
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.collection import Collection
from registry_mesh.repositories.collection_report import CollectionReport
from registry_mesh.repositories.digest_life import Grace, Lifecycle
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.stores.memory.uploads import MemoryUploads
from tests.simulators.jitter import Jitter, JitteryBlobs, JitteryRecords
from tests.simulators.origins import (
    ALICE,
    LAYER,
    REGISTRY,
    HandClock,
    image,
    index,
    memory_origin,
    plain,
    push_blob,
    push_image,
    pushes,
    repository,
)

SEEDS = int(os.environ.get("ORIGIN_SEEDS", "60"))
GRACE = Grace(period=1000.0, fresh=50.0, stall=120.0, deadline=20.0, poll=0.5)
DAY = 24 * 3600.0


def clock_of(origin: Repositories) -> HandClock:
    assert isinstance(origin.lifecycle.clock, HandClock)
    return origin.lifecycle.clock


async def collect(origin: Repositories, days: float = 0, dry_run: bool = False) -> CollectionReport:
    clock_of(origin).now += days * DAY
    return await Collection(origin, dry_run=dry_run).run()


async def digests(origin: Repositories) -> set[Digest]:
    return {info.digest async for info in origin.blobs.blobs()}


async def test_what_a_tag_points_at_stays() -> None:
    origin = memory_origin()
    repo = repository(origin)
    one = await push_image(repo, "one", "t")
    child = await push_image(repo, "child")
    multi = index(child)
    await pushes(repo).put_manifest(ALICE, multi, [Tag("multi")])
    signature = await push_image(repo, "signature", subject=plain(child).document())
    before = await digests(origin)
    for _ in range(4):
        await collect(origin, days=2)
    assert await digests(origin) == before
    for each in (one, child, multi, signature):
        assert (await repo.manifests.manifest(each.digest)).manifest == each


async def test_manifests_without_a_tag_are_kept_where_that_is_wanted() -> None:
    for policy, left in ((PushPolicy(), 0), (PushPolicy(keep_untagged=True), 3)):
        origin = memory_origin(policy)
        repo = repository(origin)
        one = await push_image(repo, "one")
        for days in (2, 2, 2):
            await collect(origin, days)
        assert len(await digests(origin)) == left
        if left:
            await pushes(repo).delete_manifest(ALICE, one.digest)
            for days in (2, 2, 2, 2):
                await collect(origin, days)
            assert await digests(origin) == set(), "what somebody deleted goes all the same"


def _documents(layer: Descriptor) -> list[tuple[str, dict[str, object]]]:
    """Of every kind that names a layer; the media type, and the document."""
    schema_1 = {"schemaVersion": 1, "fsLayers": [{"blobSum": str(layer.digest)}]}
    foreign = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "size": 3}
    return [
        ("application/vnd.docker.distribution.manifest.v1+json", schema_1),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", schema_1 | {"signatures": [{}]}),
        ("application/json", schema_1),
        ("application/vnd.oci.artifact.manifest.v1+json", {"blobs": [layer.document()]}),
        ("application/vnd.example.a+json", {"ref": str(layer.digest)}),
        ("application/vnd.example.b+json", {"all": [[str(layer.digest)]]}),
        (
            OCI_MANIFEST,
            {
                "schemaVersion": 2,
                "config": layer.document(),
                "layers": [layer.document() | foreign],
            },
        ),
    ]


@pytest.mark.parametrize("kind", range(7))
@pytest.mark.parametrize("written_before", [False, True])
async def test_what_a_tagged_document_of_any_kind_names_stays(kind: int, written_before: bool) -> None:
    """Also where its own document was written by a version that saw less in it."""
    origin = memory_origin()
    repo = repository(origin)
    layer = await push_blob(repo, b"abc")
    media_type, document = _documents(layer)[kind]
    manifest = Manifest.parse(json.dumps(document).encode(), media_type)
    await pushes(repo).put_manifest(ALICE, manifest, [Tag("old")])
    if written_before:
        key = origin.parts(repo.name).keys.manifest(manifest.digest)
        known = decode(await origin.records.get(key) or b"", key)
        del known["names"]
        if media_type != OCI_MANIFEST:
            known |= {"blobs": [], "mentions": []}
        await origin.records.put(key, encode(known))
    for days in (2, 2, 2):
        assert (await collect(origin, days)).removed == 0
    assert (await repo.blobs.stat(layer.digest)).size == 3
    await pushes(repo).delete_tag(ALICE, Tag("old"))
    for days in (2, 2, 2, 2):
        await collect(origin, days)
    assert await digests(origin) == set()


async def test_what_is_loose_goes_after_the_grace_and_from_the_top() -> None:
    origin = memory_origin()
    repo = repository(origin)
    kept = await push_image(repo, "kept", "t")
    child = await push_image(repo, "child")
    await pushes(repo).put_manifest(ALICE, index(child), [])
    await push_image(repo, "signature", subject=plain(child).document())
    await push_blob(repo, b"never named")
    first = await collect(origin)
    assert (first.removed, first.waiting) == (0, 8)
    assert (await collect(origin, days=0.9)).removed == 0
    last = await collect(origin, days=0.2)
    assert (last.removed, last.waiting) == (8, 0)
    assert await digests(origin) == {kept.digest, *(each.digest for each in kept.blobs())}
    with pytest.raises(ManifestUnknown):
        await repo.manifests.manifest(child.digest)
    assert (await repo.referrers.referrers(child.digest)).descriptors == ()


async def test_a_dry_run_says_what_would_go_and_touches_nothing() -> None:
    origin = memory_origin()
    repo, other = repository(origin), repository(origin, "b/c")
    await push_image(repo, "kept", "t")
    gone = await push_blob(repo, b"never named")
    await push_blob(other, b"never named")
    await push_blob(other, b"nor this one")
    await collect(origin)
    clock_of(origin).now += 2 * DAY
    keys = [key async for key in origin.records.walk("")]
    report = await collect(origin, dry_run=True)
    assert (report.removable, report.removable_bytes, report.removed) == (2, 11 + 12, 0)
    assert report.repositories[repo.name].loose_bytes == gone.size
    assert report.repositories[other.name].loose_bytes == 11 + 12
    assert keys == [key async for key in origin.records.walk("")]
    real = await collect(origin)
    assert (real.removed, real.removed_bytes) == (2, 23)


async def test_history_and_deleted_manifests_are_kept_as_long_as_they_can_come_back() -> None:
    origin = memory_origin(PushPolicy(history=2))
    repo = repository(origin)
    moved = await push_image(repo, "moved", "t")
    await push_image(repo, "now", "t")
    deleted = await push_image(repo, "deleted", "d")
    await collect(origin)
    await collect(origin, days=2)
    await pushes(repo).delete_manifest(ALICE, deleted.digest)
    await collect(origin)
    await collect(origin, days=0.9)
    history = origin.history(repo.name)
    assert (await history.undo(ALICE, Tag("d"))).digest == deleted.digest
    assert (await history.undo(ALICE, Tag("t"))).digest == moved.digest
    for text in "ab":
        await push_image(repo, text, "t")
    await pushes(repo).delete_manifest(ALICE, deleted.digest)
    for _ in range(3):
        await collect(origin, days=1.1)
    with pytest.raises(ManifestUnknown):
        await history.undo(ALICE, Tag("d"))
    assert moved.digest not in await digests(origin)
    assert deleted.digest not in await digests(origin)


async def test_what_another_repository_refers_to_stays() -> None:
    origin = memory_origin()
    here, there = repository(origin), repository(origin, "b/c")
    blob = await push_blob(here, b"shared")
    await pushes(there).mount(ALICE, blob.digest, here.name)
    manifest = image(blob, blob)
    await pushes(there).put_manifest(ALICE, manifest, [Tag("t")])
    for _ in range(3):
        await collect(origin, days=2)
    assert (await there.blobs.stat(blob.digest)).size == 6


async def test_a_referrer_whose_subject_was_never_here_stays() -> None:
    origin = memory_origin()
    repo = repository(origin)
    far = image(Descriptor(LAYER, Digest.of(b"far"), 3))
    signature = await push_image(repo, "signature", subject=plain(far).document())
    for _ in range(3):
        await collect(origin, days=2)
    assert (await repo.manifests.manifest(signature.digest)).manifest == signature


async def test_a_collector_that_died_is_followed_by_another() -> None:
    origin = memory_origin()
    repo = repository(origin)
    blob = await push_blob(repo, b"loose")
    await collect(origin)
    clock_of(origin).now += 2 * DAY
    run = Collection(origin, remove_blobs=_die)
    with pytest.raises(ConnectionError):
        await run.run()
    await push_blob(repo, b"loose")  # waits for the dead, then goes on
    assert (await repo.blobs.stat(blob.digest)).size == 5
    assert sum(clock_of(origin).slept) >= origin.lifecycle.grace.stall
    await collect(origin)
    assert (await collect(origin, days=2)).removed == 1
    assert await digests(origin) == set()


async def _die(_: Sequence[Digest]) -> None:
    raise ConnectionError


# The walk


@dataclass
class World:
    """A store under a seed, and what its users believe of it."""

    seed: int
    lifecycle: type[Lifecycle] = Lifecycle
    clock: HandClock = field(default_factory=HandClock)
    deleted: set[tuple[str, Digest]] = field(default_factory=set)
    pushed: dict[tuple[str, Digest], tuple[float, Manifest]] = field(default_factory=dict)
    deletions: dict[tuple[str, Digest], int] = field(default_factory=dict)
    deleting: list[tuple[str, Digest]] = field(default_factory=list)
    removing: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.jitter = Jitter(self.seed, self.clock, longest=0.2)
        self.random = self.jitter.random
        store = MemoryStore()
        records, blobs = JitteryRecords(store.records, self.jitter), JitteryBlobs(store, self.jitter)
        lifecycle = self.lifecycle(records, self.clock, GRACE, self.jitter.sleep)
        policy = PushPolicy(history=2, grace=GRACE.period)
        uploads = MemoryUploads(store, self.clock)
        self.origin = Repositories(records, blobs, uploads, lifecycle, policy, lambda who, name: True)
        still = Lifecycle(store.records, self.clock, GRACE)
        self.plain = Repositories(store.records, store, uploads, still, policy)

    def repo(self) -> Repository:
        return self.origin.repository(REGISTRY, RepositoryName(self.random.choice(("a", "b/c"))))

    def tags(self) -> list[Tag]:
        return [Tag(each) for each in "xyz" if self.random.random() < 0.3]

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    async def blob(self, repo: Repository, careful: bool) -> Descriptor:
        """As clients do: ask for it, mount it, else upload it."""
        data = f"blob {self.random.randrange(6)}".encode()
        digest = Digest.of(data)
        if not careful:
            with suppress(BlobUnknown):
                return Descriptor(LAYER, digest, (await repo.blobs.stat(digest)).size)
            if self.random.random() < 0.5 and await pushes(repo).mount(ALICE, digest, None):
                return Descriptor(LAYER, digest, len(data))
        return await push_blob(repo, data)

    async def push(self) -> None:
        repo = self.repo()
        manifest = await self.manifest(repo)
        if manifest is None:
            return
        key = (repo.name, manifest.digest)
        deletions = self.deletions.get(key, 0)
        try:
            await pushes(repo).put_manifest(ALICE, manifest, self.tags())
        except ManifestBlobUnknown:
            self.count("refused")
            return
        self.count("pushed")
        self.pushed[key] = (self.clock.now, manifest)
        if deletions == self.deletions.get(key, 0) and key not in self.deleting:
            self.deleted.discard(key)  # else a deletion ran beside the push, and may have come after it

    async def manifest(self, repo: Repository) -> Manifest | None:
        kind = self.random.random()
        known = [manifest for (name, _), (_, manifest) in self.pushed.items() if name == repo.name]
        if kind < 0.25 and known:
            return index(*self.random.sample(known, min(len(known), 2)))
        if kind < 0.35 and known:
            return self.random.choice(known)  # a new tag for what was pushed long ago
        careful = self.random.random() < 0.3
        blobs = [await self.blob(repo, careful) for _ in range(2)]
        if kind < 0.55 and known:
            return image(*blobs, subject=plain(self.random.choice(known)).document())
        return image(*blobs)

    async def delete(self) -> None:
        repo = self.repo()
        with suppress(Refusal):
            if self.random.random() < 0.7:
                await pushes(repo).delete_tag(ALICE, Tag(self.random.choice("xyz")))
                self.count("untagged")
                return
            mine = sorted(digest for name, digest in self.pushed if name == repo.name)
            if mine:
                digest = self.random.choice(mine)
                key = (repo.name, digest)
                self.deleted.add(key)
                self.deleting.append(key)
                try:
                    await pushes(repo).delete_manifest(ALICE, digest)
                    self.count("deleted")
                finally:
                    self.deleting.remove(key)
                    self.deletions[key] = self.deletions.get(key, 0) + 1

    async def undo(self) -> None:
        repo = self.repo()
        with suppress(Refusal):
            entry = await self.origin.history(repo.name).undo(ALICE, Tag(self.random.choice("xyz")))
            if entry.digest:
                self.count("undone")

    async def collect(self) -> None:
        report = await Counted(self).run()
        self.outcomes["removed"] = self.outcomes.get("removed", 0) + report.removed
        self.outcomes["spared"] = self.outcomes.get("spared", 0) + report.spared

    async def losses(self) -> list[str]:
        """What should be there and is not. Read without jitter: nothing else moves meanwhile."""
        found = []
        for name in ("a", "b/c"):
            parts = self.plain.parts(RepositoryName(name))
            wanted = {
                entry.digest for tag in await parts.tags.names() for entry in await parts.tags.history(tag)
            }
            wanted |= {
                digest
                for (owner, digest), (at, _) in self.pushed.items()
                if owner == name and at > self.clock.now - GRACE.period
            }
            for digest in wanted - {None}:
                if (name, digest) not in self.deleted:
                    found += await self._lost(name, digest)
        return found

    async def _lost(self, name: str, digest: Digest) -> list[str]:
        repo = self.plain.repository(REGISTRY, RepositoryName(name))
        try:
            manifest = (await repo.manifests.manifest(digest)).manifest
        except (Refusal, Exception) as fault:
            return [f"{name}: manifest {digest}: {fault!r}"]
        lost = []
        for blob in manifest.blobs():
            try:
                await repo.blobs.stat(blob.digest)
            except BlobUnknown:
                lost.append(f"{name}: blob {blob.digest} of {digest}")
        for child in manifest.manifests:
            if (name, child.digest) not in self.deleted:
                lost += await self._lost(name, child.digest)
        return lost


class Counted(Collection):
    """A collection that the walk sees removing."""

    def __init__(self, world: World) -> None:
        super().__init__(world.origin)
        self._world = world

    async def remove(self, due: list[Digest]) -> list[Digest]:
        self._world.removing += 1
        try:
            return await super().remove(due)
        finally:
            self._world.removing -= 1


async def walk(seed: int, rounds: int = 12, lifecycle: type[Lifecycle] = Lifecycle) -> World:
    world = World(seed, lifecycle)
    collectors: set[asyncio.Task[None]] = set()
    for _ in range(rounds):
        actors = [world.push() for _ in range(world.random.randrange(1, 5))]
        actors += [world.delete() for _ in range(world.random.randrange(3))]
        actors += [world.undo() for _ in range(world.random.randrange(2))]
        if len(collectors) < 2:
            collectors.add(asyncio.ensure_future(world.collect()))
        await asyncio.gather(*actors)
        if world.random.random() < 0.6:
            await asyncio.gather(*collectors)
        while world.removing:  # a process may sleep anywhere but there (Grace.deadline)
            await asyncio.sleep(0)
        collectors = {each for each in collectors if not each.done() or each.result()}
        losses = await world.losses()
        assert not losses, f"seed {seed}: {losses}"
        world.clock.now += world.random.choice((1.0, GRACE.fresh, GRACE.period / 2, GRACE.period + 1))
    await asyncio.gather(*collectors)
    return world


@settings(max_examples=SEEDS, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_nothing_referenced_is_ever_collected(seed: int) -> None:
    asyncio.run(walk(seed))


def test_the_walk_does_what_it_is_meant_to() -> None:
    """Pushes, refusals, removals and spared digests all occur; else the property above proves little."""
    totals: dict[str, int] = {}
    for seed in range(6):
        for outcome, times in asyncio.run(walk(seed)).outcomes.items():
            totals[outcome] = totals.get(outcome, 0) + times
    assert {each for each, times in totals.items() if times} >= {"pushed", "removed", "deleted", "undone"}


class Untouched(Lifecycle):
    """Forgets to say that a digest is wanted again."""

    async def touch(self, digest: Digest) -> None:
        return


def test_without_touches_the_walk_finds_losses() -> None:
    with pytest.raises(AssertionError, match="seed"):
        for seed in range(200):
            asyncio.run(walk(seed, lifecycle=Untouched))


@pytest.mark.parametrize("seed", range(3))
def test_in_the_end_nothing_is_left_behind(seed: int) -> None:
    asyncio.run(_empty(seed))


async def _empty(seed: int) -> None:
    world = await walk(seed)
    origin = world.plain
    for name in ("a", "b/c"):
        repo = origin.repository(REGISTRY, RepositoryName(name))
        for tag in (await repo.tags.tags(99)).tags:
            await pushes(repo).delete_tag(ALICE, tag)
        for each in [each async for each in origin.parts(repo.name).shelf.all()]:
            await pushes(repo).delete_manifest(ALICE, each.digest)
    for _ in range(12):
        world.clock.now += GRACE.period + 1
        await Collection(origin).run()
    assert [key async for key in origin.records.walk("") if "/_repository" not in key] == []
    assert await digests(origin) == set()
