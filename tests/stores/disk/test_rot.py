"""Bytes that change on the disk are found before one of them leaves."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import FileSlice
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from tests.simulators.ticks import tick_after
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import DATA, DIGEST, SIZE, fill, map_of


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    store = await DiskStore.start(tmp_path, evict=True, fsync=DiskFsync.NEVER)
    yield store
    await store.close()


async def committed(store: DiskStore) -> Path:
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(5))
        await hold.commit(None)
    return store.layout.blob(DIGEST)


def flip(path: Path, at: int) -> None:
    tick_after(path)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def double_block(path: Path, at: int) -> None:
    tick_after(path)
    with path.open("r+b") as file:
        file.seek(at)
        block = file.read(4096)
        file.write(block)


Damage = Callable[[Path], None]
DAMAGES: dict[str, Damage] = {
    "first bit": lambda path: flip(path, 0),
    "middle bit": lambda path: flip(path, 2 * CHUNK + 77),
    "last bit": lambda path: flip(path, SIZE - 1),
    "cut": lambda path: os.truncate(path, 2 * CHUNK),
    "cut short of a chunk": lambda path: os.truncate(path, 700),
    "emptied": lambda path: os.truncate(path, 0),
    "grown": lambda path: os.truncate(path, SIZE + 9),
    "doubled block": lambda path: double_block(path, CHUNK + 8192),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "after a restart"])
async def test_a_rotten_chunk_is_repaired_alone(tmp_path: Path, damage: Damage, warm: bool) -> None:
    store = await DiskStore.start(tmp_path, evict=True, fsync=DiskFsync.NEVER)
    path = await committed(store)
    assert await read(store, DIGEST) == DATA
    if not warm:
        await store.close()
    damage(path)
    if not warm:
        store = await DiskStore.start(tmp_path, evict=True, fsync=DiskFsync.NEVER)
    sent = b""
    with pytest.raises((BlobUnknown, StoreBroken)):
        async with store.open(DIGEST) as reading:
            async for piece in reading.pieces():
                assert isinstance(piece, FileSlice)
                sent += os.pread(piece.fd, len(piece), piece.start)
    assert DATA.startswith(sent)
    assert store.counts.rotten == 1
    with pytest.raises(BlobUnknown):
        await store.stat(DIGEST)
    async with store.hold(DIGEST, SIZE) as hold:
        good = [i for i in range(5) if await hold.check(i)]
        assert len(good) < 5
        bad = [i for i in range(5) if i not in good]
        for index in bad:
            assert hold.state(index) is ChunkState.MISSING
            await fill(hold, range(index, index + 1))
        await hold.commit(map_of(DATA))
    assert await read(store, DIGEST) == DATA
    await store.close()


async def test_other_spans_of_a_rotten_blob_are_served(store: DiskStore) -> None:
    path = await committed(store)
    flip(path, 3 * CHUNK + 1)
    assert await read(store, DIGEST, Span(0, CHUNK)) == DATA[:CHUNK]
    with pytest.raises(BlobUnknown):
        await read(store, DIGEST, Span(3 * CHUNK + 900, 3 * CHUNK + 901))
    async with store.hold(DIGEST, SIZE) as hold:
        assert [hold.state(i) for i in range(5)] == [2, 2, 2, 0, 2]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "grow"])
async def test_small_blobs(store: DiskStore, damage: str) -> None:
    digest = await put(store, b"a manifest")
    path = store.layout.blob(digest)
    if damage == "flip":
        flip(path, 3)
    else:
        os.truncate(path, {"cut": 4, "empty": 0, "grow": 11}[damage])
    with pytest.raises(BlobUnknown):
        await store.stat(digest) if damage != "flip" else await read(store, digest)
    await put(store, b"a manifest")
    assert await read(store, digest) == b"a manifest"


async def test_an_origin_puts_it_aside(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, fsync=DiskFsync.NEVER)
    data = pattern(3 * CHUNK)
    digest = await put(store, data)
    flip(store.layout.blob(digest), CHUNK)
    with pytest.raises(StoreBroken):
        await read(store, digest)
    assert [path.stat().st_size for path in store.layout.quarantine.iterdir()] == [len(data)]
    with pytest.raises(BlobUnknown):
        await store.stat(digest)
    assert await put(store, data) == digest
    assert await read(store, digest) == data
    await store.close()


async def test_without_its_checksums_a_blob_is_proven_whole(store: DiskStore) -> None:
    path = await committed(store)
    store.layout.blob_hold(DIGEST).unlink()
    assert await read(store, DIGEST) == DATA
    flip(path, 4 * CHUNK)
    with pytest.raises((BlobUnknown, StoreBroken)):
        await read(store, DIGEST)


async def test_partial_blobs_while_they_are_held(store: DiskStore) -> None:
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(3))
        assert await hold.check(1)
        flip(store.layout.part(DIGEST), CHUNK + 5)
        assert not await hold.check(1)
        assert hold.state(1) is ChunkState.MISSING
        assert await hold.check(0)


async def test_partial_blobs_after_a_restart(store: DiskStore, tmp_path: Path) -> None:
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(5), ChunkState.UNPROVEN)
    flip(store.layout.part(DIGEST), SIZE - 1)
    async with store.hold(DIGEST, SIZE) as hold:
        assert [await hold.check(i) for i in range(5)] == [True, True, True, True, False]


async def test_a_garbled_hold_file_is_begun_anew(store: DiskStore) -> None:
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(5))
    store.layout.part_hold(DIGEST).write_bytes(b"\x07" * 30)
    async with store.hold(DIGEST, SIZE) as hold:
        assert hold.run(0, 5, ChunkState.UNPROVEN) == 0
        await fill(hold, range(5))
        await hold.commit(None)
    assert await read(store, DIGEST) == DATA


async def test_after_another_boot_only_synced_chunks_count(tmp_path: Path) -> None:
    for policy, kept in ((DiskFsync.NEVER, 0), (DiskFsync.COMMIT, 5), (DiskFsync.ALWAYS, 5)):
        store = await DiskStore.start(tmp_path / policy.value, evict=True, fsync=policy)
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(5))
        table = store.layout.part_hold(DIGEST)
        head = bytearray(table.read_bytes())
        head[40:56] = b"x" * 16
        table.write_bytes(head)
        async with store.hold(DIGEST, SIZE) as hold:
            assert hold.run(0, 5, ChunkState.PROVEN) == kept
        await store.close()


async def test_an_unknown_digest_is_no_rot(store: DiskStore) -> None:
    with pytest.raises(BlobUnknown):
        await read(store, Digest.of(b"nobody"))
    assert store.counts.rotten == 0


async def test_the_length_of_a_file_that_was_mended_after_its_opening_is_not_told(store: DiskStore) -> None:
    path = await committed(store)
    os.truncate(path, 0)
    file = store.whole_blobs.files.open(DIGEST)
    assert file is not None and file.size == 0
    path.write_bytes(DATA)  # in place, as a fill does in another process
    looks = store.whole_blobs.looks
    assert looks.size_up(DIGEST, file.fd, file.look) is not None
    assert not file.look.sized
    assert not await store.whole_blobs.is_sized(file)
    store.whole_blobs.files.release(file)
    assert await read(store, DIGEST) == DATA, "and the good file has not been taken for a rotten one"
    assert store.counts.rotten == 0
