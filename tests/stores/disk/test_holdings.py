"""What a person sees of a disk store, and takes from it."""

import asyncio
import threading
from pathlib import Path

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.holdings import DiskHoldings
from registry_mesh.stores.disk.layout import Layout
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import eventually
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import DATA, DIGEST, SIZE, fill

QUOTA = 64 * CHUNK


async def started(folder: Path) -> DiskStore:
    return await DiskStore.start(folder, quota=QUOTA, evict=True, fsync=DiskFsync.NEVER)


async def test_a_blob_is_counted_by_its_chunks_and_dropped_whole_or_in_part(tmp_path: Path) -> None:
    store = await started(tmp_path)
    holdings = store.holdings
    assert await holdings.held(DIGEST) == 0
    assert await holdings.drop(DIGEST) == 0
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(1, 3))
        assert await holdings.held(DIGEST) == 2 * CHUNK
        assert await holdings.drop(DIGEST) == 0, "it is being filled"
    assert await holdings.drop(DIGEST) >= 2 * CHUNK
    assert await holdings.held(DIGEST) == 0
    assert store.used == 0
    await put(store, DATA)
    assert await holdings.held(DIGEST) == SIZE
    assert await holdings.drop(DIGEST) >= SIZE
    assert store.used == 0
    await store.close()


class Late(Layout):
    """Who looks for a part waits until `completed`."""

    looking, completed = threading.Event(), threading.Event()

    def part_hold(self, digest: Digest) -> Path:
        self.looking.set()
        self.completed.wait(60)
        return super().part_hold(digest)


async def test_a_blob_that_is_completed_meanwhile_is_here(tmp_path: Path) -> None:
    """It was no whole one a moment ago, and is no part any more."""
    store = await started(tmp_path)
    late, its = Late(tmp_path), store.shelf
    holdings = DiskHoldings(Shelf(late, its.room, its.index, its.fsync, its.clock))
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(5))
        look = asyncio.create_task(holdings.held(DIGEST))
        await eventually(late.looking.is_set, "the look at the part")
        await hold.commit(None)
        late.completed.set()
        assert await look == SIZE
    await store.close()


async def test_what_is_spared_stays_while_the_rest_goes(tmp_path: Path) -> None:
    store = await started(tmp_path)
    spared, other = pattern(8 * CHUNK, seed=1), pattern(8 * CHUNK, seed=2)
    await put(store, spared)
    await put(store, other)
    await store.holdings.spare({Digest.of(spared)})
    for seed in range(3, 30):
        await put(store, pattern(8 * CHUNK, seed=seed))
    assert await read(store, Digest.of(spared)) == spared
    await store.holdings.spare(())
    for seed in range(30, 60):
        await put(store, pattern(8 * CHUNK, seed=seed))
    try:
        await read(store, Digest.of(spared))
        raise AssertionError("it goes as any other")
    except BlobUnknown:
        pass
    await store.close()
