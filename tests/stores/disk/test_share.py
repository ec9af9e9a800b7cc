"""A cache on a disk that is smaller than what is pulled, or that others fill. Real file systems; needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.failures import StoreFull
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.space.share import FileSystem, file_system, share
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import eventually
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import fill, map_of

MIB = 1 << 20
SIZE = 24 * MIB
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


@pytest.fixture(params=["tmpfs", "ext4"])
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 24 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if request.param == "tmpfs":
        run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", place)
    else:
        image = tmp_path / "image"
        image.touch()
        os.truncate(image, SIZE)
        run("mkfs.ext4", "-q", "-F", "-m", "0", image)
        run("mount", "-o", "loop", image, place)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


@pytest.fixture(params=[None, 100 << 30], ids=["no quota", "quota above the disk"])
async def store(small: Path, request: pytest.FixtureRequest) -> AsyncIterator[DiskStore]:
    store = await DiskStore.start(small / "store", quota=request.param, evict=True, fsync=DiskFsync.NEVER)
    yield store
    await store.close()


async def bring(store: DiskStore, data: bytes) -> Digest:
    """As a fill does."""
    digest = Digest.of(data)
    async with store.hold(digest, len(data)) as hold:
        for index in range(-(-len(data) // CHUNK)):
            if not hold.state(index):
                await fill(hold, range(index, index + 1), data=data)
        if not hold.committed:
            await hold.commit(map_of(data))
    return digest


async def held(store: DiskStore, digest: Digest, data: bytes) -> bool:
    try:
        return await read(store, digest) == data
    except BlobUnknown:
        return False


def ballast(place: Path, leave: int = 0) -> Path:
    """What another program writes, until so many bytes are left."""
    path = place / "ballast"
    with path.open("wb", buffering=0) as file:
        for step in (MIB, 4096):
            try:
                while file_system(place).free > leave + step:
                    file.write(bytes(step))
            except OSError:
                pass
        if not leave:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
    return path


@needs_root
async def test_what_comes_last_stays_however_much_comes(store: DiskStore, small: Path) -> None:
    for seed in range(14):
        data = pattern(3 * MIB + seed, seed=seed)
        way = bring if seed % 2 else put
        digest = await way(store, data)
        assert await held(store, digest, data), seed
        assert await held(store, digest, data), f"{seed} again"
    assert store.counts.evicted_bytes > 20 * MIB
    if store.shelf.room.ledger.limit is not None and store.used:
        assert file_system(small).free > 0


@needs_root
async def test_a_disk_that_others_fill_is_shared_with_them(store: DiskStore, small: Path) -> None:
    old = [pattern(2 * MIB + seed, seed=seed) for seed in range(5)]
    for data in old:
        await bring(store, data)
    full = ballast(small)
    data = pattern(3 * MIB, seed=99)
    digest = await bring(store, data)
    assert await held(store, digest, data), "what was used least made room for it"
    # it gives way
    await eventually(lambda: file_system(small).free >= MIB // 2, "it to give way")
    full.unlink()
    for data in old:
        assert await held(store, await bring(store, data), data)


@needs_root
async def test_a_blob_larger_than_the_disk_does_not_keep_it(store: DiskStore, small: Path) -> None:
    huge = pattern(30 * MIB)
    with pytest.raises(StoreFull):
        await bring(store, huge)
    for seed in range(8):
        data = pattern(4 * MIB, seed=seed)
        assert await held(store, await bring(store, data), data), seed


@pytest.mark.parametrize(
    ("size", "free", "used", "quota", "may"),
    [
        (1000, 1000, 0, False, 900),
        (1000, 100, 800, False, 800),
        (1000, 50, 800, False, 750),  # others took 150
        (1000, 0, 300, False, 200),
        (1000, 0, 100, False, 50),  # others have nine tenths: half of the rest
        (1000, 100, 0, False, 50),
        (1000, 0, 0, False, 0),
        (6400, 6400, 0, True, 6300),
        (200 << 30, 200 << 30, 0, True, 199 << 30),
    ],
)
def test_the_share(size: int, free: int, used: int, quota: bool, may: int) -> None:
    assert abs(share(FileSystem(size, free), used, quota=quota) - may) <= 1


async def test_a_cache_that_writes_does_not_change_its_share() -> None:
    for used in range(0, 900, 50):
        assert share(FileSystem(1000, 1000 - used), used, quota=False) in (900, 901), used
