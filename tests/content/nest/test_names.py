"""A digest belongs to the repositories that named it, and to no other."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest

from registry_mesh.content.nest.names import Names
from registry_mesh.content.nest.remembered import Entry
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.place import Place
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually

PRIVATE = Place(RegistryName("registry.example"), RepositoryName("team/private"))
OTHER = Place(RegistryName("registry.example"), RepositoryName("somebody/else"))
ELSEWHERE = Place(RegistryName("other.example:5000"), RepositoryName("team/private"))
LAYER = Digest.of(b"layer")
IMAGE = json.dumps({"mediaType": OCI_MANIFEST, "layers": [{"digest": str(LAYER), "size": 5}]}).encode()
INDEX = json.dumps(
    {
        "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": str(Digest.of(IMAGE)), "size": len(IMAGE)}],
    }
).encode()


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> CacheStore:
    return MemoryStore() if request.param == "memory" else await DiskStore.start(tmp_path / "store")


async def named(names: Names, *digests: Digest) -> list[list[Digest]]:
    """For each place, which of `digests` it names."""
    return [[each for each in digests if await names.have(p, each)] for p in (PRIVATE, OTHER, ELSEWHERE)]


async def put(store: CacheStore, data: bytes) -> None:
    async with store.ingest(Digest.of(data), len(data)) as ingest:
        await ingest.write(data)
        await ingest.commit(Digest.of(data))


async def test_a_manifest_names_itself_and_what_it_mentions(store: CacheStore) -> None:
    names = Names(store, MemoryRecords())
    image = Digest.of(IMAGE)
    assert await named(names, image, LAYER) == [[], [], []]
    await names.note_manifest(PRIVATE, image, IMAGE, OCI_MANIFEST)
    assert await named(names, image, LAYER) == [[image, LAYER], [], []]


async def test_the_relation_outlives_the_process(store: CacheStore) -> None:
    records = MemoryRecords()
    await Names(store, records).note_manifest(PRIVATE, Digest.of(IMAGE), IMAGE, OCI_MANIFEST)
    assert await named(Names(store, records), LAYER) == [[LAYER], [], []]


async def test_a_lost_index_is_filled_from_the_records(tmp_path: Path) -> None:
    records = MemoryRecords()
    before = Names(await DiskStore.start(tmp_path / "before"), records)
    await before.note_manifest(PRIVATE, Digest.of(IMAGE), IMAGE, OCI_MANIFEST)
    await before.close()
    after = Names(await DiskStore.start(tmp_path / "after"), records)
    assert await named(after, Digest.of(IMAGE), LAYER) == [[Digest.of(IMAGE), LAYER], [], []]


async def test_a_damaged_record_names_its_manifest_alone(store: CacheStore) -> None:
    records = MemoryRecords()
    before = Names(store, records)
    await before.note_manifest(PRIVATE, Digest.of(IMAGE), IMAGE, OCI_MANIFEST)
    await before.close()
    (key,) = [key async for key in records.walk("named/")]
    await records.put(key, b'["sha256:x", 3, {}')
    fresh = Names(MemoryStore(), records)
    assert await named(fresh, Digest.of(IMAGE), LAYER) == [[Digest.of(IMAGE)], [], []]


async def test_a_store_from_before_names_what_its_tags_reach(store: CacheStore) -> None:
    records = MemoryRecords()
    for data in (IMAGE, INDEX):
        await put(store, data)
    pointed = Descriptor(OCI_INDEX, Digest.of(INDEX), len(INDEX))
    entry = Entry(json.dumps(pointed.document()), time.time())
    await records.put("remembered/other.example_5000/team/private/_tags/v1", entry.encode())
    all_of_it = [Digest.of(INDEX), Digest.of(IMAGE), LAYER]
    assert await named(Names(store, records), *all_of_it) == [[], [], all_of_it]


async def test_one_digest_may_be_noted_alone(store: CacheStore) -> None:
    names = Names(store, MemoryRecords())
    assert not await names.have(PRIVATE, LAYER)
    await names.of(PRIVATE).note(LAYER)
    assert await named(names, LAYER) == [[LAYER], [], []]


class BrokenAtFirst(MemoryRecords):
    """Records that cannot be written the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0

    async def create(self, key: str, data: bytes) -> bool:
        self.tries += 1
        if self.tries == 1:
            raise StoreBroken("not now")
        return await super().create(key, data)


async def test_a_record_that_could_not_be_written_is_written_later(store: CacheStore) -> None:
    records = BrokenAtFirst()
    names = Names(store, records)
    await names.note_given(PRIVATE, LAYER)
    await eventually(lambda: records.tries == 2)
    await names.close()
    assert await Names(MemoryStore(), records).have(PRIVATE, LAYER)


class CountedStore(MemoryStore):
    """Counts how often the index is asked and written."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    async def names(self, place: Place, digest: Digest) -> bool | None:
        self.asked["names"] += 1
        await asyncio.sleep(0)  # as a store on a disk does
        return await super().names(place, digest)

    async def note_names(self, place: Place, digests: Collection[Digest], *, whole: bool = False) -> None:
        self.asked["note"] += 1
        await super().note_names(place, digests, whole=whole)


async def test_a_crowd_asks_the_index_once_and_writes_to_it_once() -> None:
    store = CountedStore()
    names = Names(store, MemoryRecords())

    async def reader() -> None:
        if not await names.have(PRIVATE, LAYER):
            await names.note_given(PRIVATE, LAYER)

    await asyncio.gather(*(reader() for _ in range(100)))
    assert await names.have(PRIVATE, LAYER)
    assert store.asked == {"names": 2, "note": 2}, (
        "before and after the records are looked at; that, and the digest"
    )
