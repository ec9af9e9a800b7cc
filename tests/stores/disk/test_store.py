from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, PAGE, ChunkMap, count
from registry_mesh.chunks.map_format import decode, encode_old
from registry_mesh.chunks.sums import SUM, SumAlgorithm
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from tests.simulators.ticks import tick_after
from tests.suites.blob_store import BlobStoreSuite, put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import DIGEST, CacheStoreSuite
from tests.suites.chunk_maps import excerpt
from tests.suites.maps_of import map_of


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
        assert decode(beside.read_bytes(), len(data)) == known
    beside.unlink()
    tick_after(store.layout.blob(digest))
    with store.layout.blob(digest).open("r+b") as file:
        file.seek(2 * CHUNK)
        file.write(b"rot")
    assert await store.chunk_map(digest) is None, "what has rotted must not become its own proof"
    assert not beside.exists()
    await store.close()


async def test_a_chunk_map_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """It is told whole, and proves what is read of the blob."""
    store = await DiskStore.start(tmp_path)
    data = pattern(3 * CHUNK + 5)
    digest = await put(store, data)
    old = map_of(data, SumAlgorithm.SHA256)
    encoded = encode_old(old)
    assert encoded is not None
    store.layout.blob_chunks(digest).write_bytes(encoded)
    assert await store.chunk_map(digest) == old
    assert await store.chunk_map(digest, Span(CHUNK, CHUNK + 1)) == old
    assert await read(store, digest) == data
    tick_after(store.layout.blob(digest))
    with store.layout.blob(digest).open("r+b") as file:
        file.seek(2 * CHUNK)
        file.write(b"rot")
    with pytest.raises(StoreBroken):
        await read(store, digest)
    await store.close()


async def test_no_more_of_a_large_chunk_map_is_read_than_is_wanted(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path)
    digest = await put(store, b"stands for a layer of some GiB")
    size = 5 * PAGE * CHUNK + 1
    with store.layout.blob(digest).open("r+b") as file:
        file.truncate(size)
    made = ChunkMap.of_sums(size, pattern(count(size) * SUM), SumAlgorithm.BLAKE3)
    store.shelf.put_chunk_map(digest, made)
    found = await store.chunk_map(digest, Span(3 * PAGE * CHUNK, 3 * PAGE * CHUNK + 9))
    assert found == excerpt(made, Span(3 * PAGE * CHUNK, 3 * PAGE * CHUNK + 1)) and list(found.pages) == [3]
    with store.layout.blob_chunks(digest).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert await store.chunk_map(digest, Span(0, 1)) == excerpt(made, Span(0, 1))
    again = await store.chunk_map(digest, Span(size - 1, size))
    assert again is None, "a page that has rotted is no page"
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
