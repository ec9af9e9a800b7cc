"""Disks that are full, and directories that go away: failures by their name, and recovery without a restart."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.failures import StoreBroken, StoreFull
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.rebuild import BUILT
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.tasks.threads import offload
from tests.eventually import eventually
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import DATA, DIGEST, SIZE, fill


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "none", tmp_path], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


async def test_a_store_on_a_disk_that_others_have_filled_is_refused_with_the_reason(small_disk: Path) -> None:
    """No process is killed for a page that there is no room for."""
    with pytest.raises(OSError, match="No space left"), (small_disk / "others").open("wb") as file:
        file.write(bytes(8 * MIB))
    for _ in range(2):  # nor of a second start, which finds what the first one made
        with pytest.raises(StoreFull):
            await DiskStore.start(small_disk / "store", evict=True, fsync=DiskFsync.NEVER)
    (small_disk / "others").unlink()
    store = await DiskStore.start(small_disk / "store", evict=True, fsync=DiskFsync.NEVER)
    assert await read(store, await put(store, pattern(MIB))) == pattern(MIB)
    await store.close()


async def test_a_full_disk(small_disk: Path) -> None:
    store = await DiskStore.start(small_disk / "store", evict=True, fsync=DiskFsync.NEVER)
    digest = await put(store, pattern(MIB))
    with pytest.raises(StoreFull):
        await put(store, pattern(8 * MIB))
    with pytest.raises(StoreFull):
        async with store.hold(DIGEST, 8 * MIB) as hold:
            await fill(hold, range(8 * MIB // CHUNK), data=pattern(8 * MIB))
    with pytest.raises(BlobUnknown):  # a cache gives way, before it gives up
        await read(store, digest)
    async with store.hold(DIGEST, 8 * MIB) as hold:
        await hold.discard()
    assert await read(store, await put(store, pattern(2 * MIB, 2))) == pattern(2 * MIB, 2)
    await store.close()


async def upkeep(store: DiskStore) -> None:
    """The store's own round may be about the index already: then this one leaves it that."""
    await offload(store.upkeep.round, store.whole_blobs.files)
    index = store.shelf.index
    await eventually(
        lambda: index.fact(BUILT) and store.shelf.room.ledger.counted, "the index to be made anew"
    )


@pytest.mark.parametrize("quota", [None, 50 * CHUNK])
async def test_the_directory_goes_and_comes_back_empty(tmp_path: Path, quota: int | None) -> None:
    root = tmp_path / "store"
    store = await DiskStore.start(root, quota=quota, evict=True, fsync=DiskFsync.NEVER)
    digest = await put(store, DATA)
    assert await read(store, digest) == DATA
    shutil.rmtree(root)
    with pytest.raises(BlobUnknown):
        await store.stat(digest)
    with pytest.raises(BlobUnknown):
        await read(store, digest)
    await upkeep(store)
    assert store.used == 0
    assert await put(store, DATA) == digest
    async with store.hold(Digest.of(b"x"), SIZE) as hold:
        await fill(hold, range(5))
    assert await read(store, digest) == DATA
    await store.records.put("a", b"1")
    await store.close()
    again = await DiskStore.start(root, quota=quota, evict=True, fsync=DiskFsync.NEVER)
    assert await read(again, digest) == DATA
    await again.close()


async def test_the_directory_comes_back_with_what_was_in_it(tmp_path: Path) -> None:
    root, away = tmp_path / "store", tmp_path / "away"
    store = await DiskStore.start(root, quota=50 * CHUNK, evict=True, fsync=DiskFsync.NEVER)
    digest = await put(store, DATA)
    used = store.used
    root.rename(away)
    root.write_bytes(b"not a directory")
    with pytest.raises(StoreBroken):
        await put(store, pattern(CHUNK))
    with pytest.raises(StoreBroken):
        async with store.hold(Digest.of(b"x"), SIZE):
            pass
    await upkeep(store)  # cannot help it, and says so
    root.unlink()
    away.rename(root)
    await upkeep(store)
    assert await read(store, digest) == DATA
    assert store.used == used
    await put(store, pattern(CHUNK))
    await store.close()


async def test_a_hold_outlives_its_directory_and_fails_by_name(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path / "store", evict=True, fsync=DiskFsync.NEVER)
    with pytest.raises(StoreBroken):
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(5))
            shutil.rmtree(tmp_path / "store")
            assert hold.run(0, 5, ChunkState.PROVEN) == 5
            assert await hold.check(2)
            await hold.commit(None)
    await upkeep(store)
    await put(store, DATA)
    await store.close()


@pytest.mark.parametrize("damage", ["removed", "garbled"])
async def test_a_lost_index_is_made_anew(tmp_path: Path, damage: str) -> None:
    store = await DiskStore.start(tmp_path, quota=50 * CHUNK, evict=True, fsync=DiskFsync.NEVER)
    digest = await put(store, DATA)
    unread = await put(store, pattern(CHUNK, 99))
    async with store.hold(Digest.of(b"x"), SIZE) as hold:
        await fill(hold, range(2))
    used = store.used
    await store.close()
    for path in (tmp_path / "index").iterdir():
        if damage == "removed":
            path.unlink()
        else:
            path.write_bytes(b"garbage" * 1000)
    (tmp_path / "run" / "ledger").unlink()
    store = await DiskStore.start(tmp_path, quota=50 * CHUNK, evict=True, fsync=DiskFsync.NEVER)
    assert await read(store, digest) == DATA, "serves meanwhile"
    await upkeep(store)
    assert store.used == used
    assert store.shelf.index.count() == 3
    for i in range(60):  # and what it found can be evicted
        await put(store, pattern(CHUNK, i))
    assert store.used <= 50 * CHUNK
    with pytest.raises(BlobUnknown):
        await store.stat(unread)
    await store.close()
