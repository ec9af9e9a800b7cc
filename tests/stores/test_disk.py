from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.stores.disk import DiskStore
from registry_mesh.stores.durability import FsyncPolicy
from tests.suites.blob_store import BlobStoreSuite
from tests.suites.cache_store import CacheStoreSuite


class TestDiskBlobs(BlobStoreSuite):
    @pytest.fixture(params=[False, True], ids=["store", "cache"])
    async def store(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[DiskStore]:
        store = await DiskStore.start(tmp_path, evict=request.param, fsync=FsyncPolicy.NEVER)
        yield store
        await store.close()


class TestDiskHolds(CacheStoreSuite):
    @pytest.fixture(params=list(FsyncPolicy), ids=lambda policy: policy.value)
    async def store(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[DiskStore]:
        store = await DiskStore.start(tmp_path, evict=True, fsync=request.param)
        yield store
        await store.close()
        assert list((tmp_path / "tmp").iterdir()) == []
