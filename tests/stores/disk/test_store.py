from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from tests.suites.blob_store import BlobStoreSuite, put
from tests.suites.bytes_of import pattern
from tests.suites.cache_store import DIGEST, CacheStoreSuite


class TestDiskBlobs(BlobStoreSuite):
    @pytest.fixture(params=[False, True], ids=["store", "cache"])
    async def store(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[DiskStore]:
        store = await DiskStore.start(tmp_path, evict=request.param, fsync=DiskFsync.NEVER)
        yield store
        await store.close()


class TestDiskHolds(CacheStoreSuite):
    @pytest.fixture(params=list(DiskFsync), ids=lambda policy: policy.value)
    async def store(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[DiskStore]:
        store = await DiskStore.start(tmp_path, evict=True, fsync=request.param)
        yield store
        await store.close()
        assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_chunk_map_is_made_at_once_for_a_blob_without_one(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path)
    data = pattern(3 * CHUNK + 5)
    digest = await put(store, data)
    beside = store.layout.blob_chunks(digest)
    known = await store.chunk_map(digest)
    for spoilt in (
        None,
        b"RMCHUNK1" + (1 << 20).to_bytes(4, "big") + len(data).to_bytes(8, "big") + bytes(32),
    ):
        beside.unlink()
        if spoilt is not None:  # of another grain, as an earlier version had it
            beside.write_bytes(spoilt)
        asked = await asyncio.gather(*(store.chunk_map(digest) for _ in range(4)))
        assert asked == [known] * 4
        assert ChunkMap.decode(beside.read_bytes(), len(data)) == known
    beside.unlink()
    with store.layout.blob(digest).open("r+b") as file:
        file.seek(2 * CHUNK)
        file.write(b"rot")
    assert await store.chunk_map(digest) is None, "what has rotted must not become its own proof"
    assert not beside.exists()
    await store.close()


async def test_a_cache_leaves_chunk_maps_to_its_parents(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, evict=True)
    digest = await put(store, pattern(3 * CHUNK))
    store.layout.blob_chunks(digest).unlink(missing_ok=True)
    assert await store.chunk_map(digest) is None
    await store.close()


async def test_who_is_cancelled_while_locking_holds_no_lock(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path)

    async def locked() -> None:
        async with store.lock(DIGEST, "fill"):
            await asyncio.sleep(60)

    for turns in range(12):  # wherever it is
        task = asyncio.create_task(locked())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with store.lock(DIGEST, "fill") as mine:
            assert mine, turns
    await store.close()
