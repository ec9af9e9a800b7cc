from __future__ import annotations

import pytest

from registry_mesh.ports.failures import StoreFull
from registry_mesh.ports.records import Records
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from tests.suites.blob_store import BlobStoreSuite
from tests.suites.cache_store import CacheStoreSuite
from tests.suites.records import RecordsSuite


class TestMemoryBlobs(BlobStoreSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestMemoryHolds(CacheStoreSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestMemoryRecords(RecordsSuite):
    @pytest.fixture
    def records(self) -> Records:
        return MemoryRecords()


async def test_quota() -> None:
    store = MemoryStore(quota=1000)
    async with store.ingest() as ingest:
        await ingest.write(b"x" * 900)
        with pytest.raises(StoreFull):
            await ingest.write(b"x" * 101)
    async with store.ingest() as ingest:
        await ingest.write(b"x" * 1000)
        await ingest.commit()
