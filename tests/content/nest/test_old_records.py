"""Records of tags and manifests that serve nobody any more go; what is held keeps its own."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from registry_mesh.content.nest.names import Names
from registry_mesh.content.nest.old_records import drop_old_records
from registry_mesh.content.nest.remembered import Entry
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore

PLACE = Place(RegistryName("registry.example:5000"), RepositoryName("team/app"))
HELD = json.dumps({"mediaType": OCI_MANIFEST, "layers": []}).encode()
GONE = json.dumps({"mediaType": OCI_MANIFEST, "layers": [], "annotations": {}}).encode()
TAGS = "remembered/registry.example_5000/team/app/_tags"


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> CacheStore:
    return MemoryStore() if request.param == "memory" else await DiskStore.start(tmp_path / "store")


@pytest.fixture
async def records(store: CacheStore) -> Records:
    """Two manifests were pulled by tag, and one of them was evicted since."""
    records = store.records if isinstance(store, DiskStore) else MemoryRecords()
    async with store.ingest(Digest.of(HELD), len(HELD)) as ingest:
        await ingest.write(HELD)
        await ingest.commit(Digest.of(HELD))
    names = Names(store, records)
    for tag, data in (("held", HELD), ("gone", GONE)):
        digest = Digest.of(data)
        await names.note_manifest(PLACE, digest, data, OCI_MANIFEST)
        answer = json.dumps({"mediaType": OCI_MANIFEST, "digest": str(digest), "size": len(data)})
        await records.put(f"{TAGS}/{tag}", Entry(answer, 1.0).encode())
        await records.put(f"media-types/sha256/{digest.hex[:2]}/{digest.hex}", OCI_MANIFEST.encode())
    await names.close()
    await records.put(f"{TAGS}/damaged", b"{")
    await records.put(f"{TAGS}/never", Entry(None, 1.0, "ManifestUnknown").encode())
    await records.put("remembered/registry.example_5000/team/app/_lists/100", Entry("[]", 1.0).encode())
    await records.put("receipts/registry.example/team/app/remembered.json", b"{}")
    return records


async def keys(records: Records) -> set[str]:
    return {key async for key in records.walk("")}


async def test_what_was_written_lately_stays(store: CacheStore, records: Records) -> None:
    before = await keys(records)
    assert len(before) >= 10
    assert await drop_old_records(records, store, time.time() - 60) == 0
    assert await keys(records) == before


async def test_of_old_ones_those_of_what_is_held_stay(store: CacheStore, records: Records) -> None:
    others = {key for key in await keys(records) if not key.startswith(("remembered/", "named/", "media-"))}
    digest = Digest.of(HELD)
    dropped = await drop_old_records(records, store, time.time() + 60)
    assert await keys(records) == others | {
        f"{TAGS}/held",
        f"named/registry.example_5000/team/app/_manifests/sha256/{digest.hex}",
        f"media-types/sha256/{digest.hex[:2]}/{digest.hex}",
    }
    assert dropped == 6


async def test_more_than_go_at_a_time(store: CacheStore) -> None:
    records = MemoryRecords()
    for number in range(250):
        await records.put(f"{TAGS}/v{number}", Entry(None, 1.0, "ManifestUnknown").encode())
    assert await drop_old_records(records, store, time.time() + 60) == 250
    assert await keys(records) == set()


async def test_what_comes_back_is_written_down_again(store: CacheStore, records: Records) -> None:
    names, digest = Names(store, records), Digest.of(GONE)
    await names.note_manifest(PLACE, digest, GONE, OCI_MANIFEST)
    await drop_old_records(records, store, time.time() + 60)
    names.forget()
    await names.note_manifest(PLACE, digest, GONE, OCI_MANIFEST)
    await names.close()
    assert f"named/registry.example_5000/team/app/_manifests/sha256/{digest.hex}" in await keys(records)
