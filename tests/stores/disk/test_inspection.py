"""What a store holds, read again: rot is found in whole and in partial blobs, whatever was proven before."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.inspection import Inspected
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk import page_cache
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.read_apart import alone, read_apart
from registry_mesh.stores.disk.store import DiskStore
from tests.stores.disk.test_rot import DAMAGES, Damage, committed, flip
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import DATA, DIGEST, SIZE, fill

CUTS = [DAMAGES["cut"], DAMAGES["cut short of a chunk"], DAMAGES["emptied"]]
"""A partial blob that somebody has open is discarded then: see `tests/stores/disk/test_cut_parts.py`."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    store = await DiskStore.start(tmp_path, evict=True, fsync=DiskFsync.NEVER)
    yield store
    await store.close()


async def inspected(store: DiskStore, digest: Digest = DIGEST) -> Inspected:
    steps = [step async for step in store.inspection.inspect(digest)]
    return Inspected(sum(s.size for s in steps), tuple(span for s in steps for span in s.rotten))


async def test_what_is_whole_is_read_once(store: DiskStore) -> None:
    await committed(store)
    assert await inspected(store) == Inspected(SIZE)
    assert await read(store, DIGEST) == DATA


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_rot_of_a_whole_blob_that_was_just_proven(store: DiskStore, damage: Damage) -> None:
    path = await committed(store)
    assert await read(store, DIGEST) == DATA
    damage(path)
    found = await inspected(store)
    assert found.rotten
    with pytest.raises(BlobUnknown):
        await store.stat(DIGEST)
    async with store.hold(DIGEST, SIZE) as hold:
        missing = {i for i in range(5) if hold.state(i) is ChunkState.MISSING}
        assert missing == {span.start // CHUNK for span in found.rotten}
        assert all([await hold.check(i) for i in range(5) if i not in missing])
        for index in missing:
            await fill(hold, range(index, index + 1))
        await hold.commit(None)
    assert await inspected(store) == Inspected(SIZE)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("held", [True, False], ids=["while it is held", "on its own"])
async def test_rot_of_a_partial_blob(store: DiskStore, damage: Damage, held: bool) -> None:
    path = store.layout.part(DIGEST)
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(5), ChunkState.UNPROVEN)
        if held:
            damage(path)
            found = await inspected(store)
            if damage in CUTS:
                assert hold.discarded
                return
    if not held:
        damage(path)
        found = await inspected(store)
    bad = {span.start // CHUNK for span in found.rotten}
    assert bad or damage is DAMAGES["grown"], "bytes past the end are cut off"
    async with store.hold(DIGEST, SIZE) as hold:
        assert {i for i in range(5) if hold.state(i) is ChunkState.MISSING} == bad
        assert all([await hold.check(i) for i in range(5) if i not in bad])


async def test_several_rotten_chunks_of_one_blob(store: DiskStore) -> None:
    path = await committed(store)
    flip(path, 1)
    flip(path, 3 * CHUNK)
    assert [span.start // CHUNK for span in (await inspected(store)).rotten] == [0, 3]


async def test_a_checksum_that_was_made_of_rotten_bytes(store: DiskStore) -> None:
    """Each chunk fits what stands beside it; the whole has another digest."""
    wrong = Digest.of(b"something else")
    async with store.hold(wrong, SIZE) as hold:
        await fill(hold, range(5))
        await hold.commit(None)
    assert len((await inspected(store, wrong)).rotten) == 1
    with pytest.raises(BlobUnknown):
        await store.stat(wrong)
    assert store.used == 0


async def test_small_blobs_by_their_digest(store: DiskStore) -> None:
    digest = await put(store, b"a manifest")
    assert await inspected(store, digest) == Inspected(10)
    flip(store.layout.blob(digest), 3)
    assert len((await inspected(store, digest)).rotten) == 1
    with pytest.raises(BlobUnknown):
        await store.stat(digest)


async def test_where_there_is_nothing_to_repair_it_from_it_is_put_aside(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, fsync=DiskFsync.NEVER)
    digest = await put(store, pattern(3 * CHUNK))
    flip(store.layout.blob(digest), CHUNK)
    assert len((await inspected(store, digest)).rotten) == 1
    assert len(list(store.layout.quarantine.iterdir())) == 1
    await store.close()


async def test_all_that_is_held_in_the_order_of_digests(store: DiskStore) -> None:
    digests = [await put(store, bytes([i])) for i in range(40)]
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(1))
    everything = sorted([*digests, DIGEST], key=lambda digest: digest.hex)
    assert [digest async for digest in store.inspection.digests(None, math.inf)] == everything
    assert [digest async for digest in store.inspection.digests(everything[17], math.inf)] == everything[18:]


def test_reading_apart_leaves_no_pages_behind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(pattern(1 << 20))
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.pread(fd, 4096, 0)
    alone(fd)
    before = in_memory(fd)  # asks mincore(2): a preadv with RWF_NOWAIT has what it does not find read in
    assert read_apart(fd, 512 << 10, 256 << 10) == pattern(1 << 20)[512 << 10 : 768 << 10]
    after = in_memory(fd)
    assert len(after - before) <= 16, "of 64 pages; the kernel may keep some that it is busy with"
    assert before <= after and 0 in after
    os.close(fd)


def in_memory(fd: int) -> set[int]:
    """Numbers of the pages of its first MiB."""
    return {number for number, state in enumerate(page_cache.resident(fd, 0, 1 << 20)) if state & 1}
