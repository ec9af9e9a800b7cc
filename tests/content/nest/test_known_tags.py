"""What a tag pointed at goes along to whoever is asked whether it still does, through every nesting."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from registry_mesh.content.nest.candidates import Candidate
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.content.nest.fall_through import FallThrough
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.remembered import Entry, Remembered
from registry_mesh.content.nest.remembered_manifests import RememberedManifests
from registry_mesh.content.nest.remembered_repository import RememberedTags
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reading import read_manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.repositories import FetchedManifest, Repository, Resolved, TagPage
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.source import SimulatedSource
from tests.simulators.unhurried import Unhurried

HOST, NAME, TAG = RegistryName("r"), RepositoryName("a"), Tag("1")
MANIFESTS = {
    found.digest: found
    for text in ("old", "new")
    for found in [read_manifest(f'{{"layers": [], "annotations": {{"a": "{text}"}}}}'.encode(), OCI_MANIFEST)]
}
OLD, NEW = (Descriptor(OCI_MANIFEST, each.digest, len(each.data)) for each in MANIFESTS.values())


@dataclass
class Asked(SimulatedSource):
    """A source of tags that keeps what it was told."""

    points_at: Descriptor | None = OLD
    told: list[Descriptor | None] = field(default_factory=list)

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        self.told.append(known)
        if self.points_at is None:
            raise ManifestUnknown(tag=tag)
        return Resolved(self.points_at)

    async def manifest(self, digest: Digest) -> FetchedManifest:
        return FetchedManifest(MANIFESTS[digest])

    async def tags(self, limit: int, last: str = "") -> TagPage:
        return TagPage(())

    def repository(self) -> Repository:
        return Repository(HOST, NAME, self, self, self, self)  # type: ignore[arg-type]  # of tags alone


@dataclass
class Place(Unhurried):
    name: str
    available: bool = True
    confirmed: bool = True
    lost: bool = False
    load: float = 0.0
    late: float = 30.0
    distance: float = 0.0


def remembered(source: Asked, records: MemoryRecords, now: list[float]) -> RememberedTags:
    memory = Remembered(records, clock=lambda: now[0])
    manifests = RememberedManifests(MemoryStore(), records).of(source)
    freshness = Freshness(ttl=60, stale_while_revalidate=0)
    return RememberedTags(HOST, NAME, source, source, memory, freshness, manifests)  # type: ignore[arg-type]


async def test_what_was_remembered_is_told_to_the_source() -> None:
    source, records, now = Asked(), MemoryRecords(), [1000.0]
    tags = remembered(source, records, now)
    assert (await tags.resolve(TAG)).descriptor == OLD
    now[0] += 59
    await tags.resolve(TAG)
    assert source.told == [None]
    now[0] += 100
    source.points_at = NEW
    assert (await tags.resolve(TAG)).descriptor == NEW
    now[0] += 100
    assert (await remembered(source, records, now).resolve(TAG)).descriptor == NEW
    assert source.told == [None, OLD, NEW], "from the record, too"


async def test_who_remembers_nothing_passes_on_what_it_is_told() -> None:
    source = Asked()
    assert (await remembered(source, MemoryRecords(), [0.0]).resolve(TAG, NEW)).descriptor == OLD
    assert source.told == [NEW]


@pytest.mark.parametrize("damage", ["no json", "{}", '{"mediaType": "a", "digest": "b", "size": 1}'])
async def test_a_damaged_record_is_told_to_nobody_and_replaced(damage: str) -> None:
    source, records, now = Asked(), MemoryRecords(), [1000.0]
    await records.put("remembered/r/a/_tags/1", Entry(damage, now[0]).encode())
    now[0] += 100
    assert (await remembered(source, records, now).resolve(TAG)).descriptor == OLD
    assert source.told == [None]


async def test_every_parent_that_is_asked_is_told() -> None:
    lacking, having = Asked(points_at=None), Asked()
    groups = [[Candidate(Place("one"), lacking.repository())], [Candidate(Place("two"), having.repository())]]
    assert (await Failover(groups, Distrusted()).resolve(TAG, OLD)).descriptor == OLD
    assert lacking.told == having.told == [OLD]


async def test_beyond_what_is_held_it_is_told_as_well() -> None:
    store = MemoryStore()
    held = ReplicaRepositories(store.records, store, lambda: 0.0).repository(HOST, NAME)
    beyond = Asked()
    both = FallThrough(held.kept, beyond.repository())
    assert (await both.resolve(TAG, NEW)).descriptor == OLD
    assert beyond.told == [NEW]
    await held.tag(TAG, NEW, "test")
    assert (await both.resolve(TAG, OLD)).descriptor == NEW, "what is held is not changed by it"
    assert len(beyond.told) == 1
