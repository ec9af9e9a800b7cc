"""A cache within its quota: never over it, what is of least use first, in small steps, sparing what is read."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB, chunk_span
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.blobs import FileSlice
from registry_mesh.ports.failures import StoreBroken, StoreFull
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores import points
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.holds import Holds
from registry_mesh.stores.disk.layout import Layout
from registry_mesh.stores.disk.open_files import OpenFile
from registry_mesh.stores.disk.space.ledger import charge
from registry_mesh.stores.disk.space.overhead import Overhead
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.whole_blobs import WholeBlobs
from tests.suites.blob_store import put
from tests.suites.bytes_of import drain, pattern, read
from tests.suites.cache_store import fill, given, held_bytes, map_of

QUOTA = 64 * CHUNK


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    store = await DiskStore.start(
        tmp_path / "store", quota=QUOTA, evict=True, fsync=DiskFsync.NEVER, clock=Clock()
    )
    yield store
    await store.close()


def on_disk(store: DiskStore) -> int:
    """Bytes that the blobs' files really take."""
    layout = store.layout
    places = [layout.blobs, layout.partial, layout.tmp, layout.quarantine]
    return sum(p.stat().st_blocks * 512 for place in places for p in place.rglob("*") if p.is_file())


async def bring(store: DiskStore, data: bytes) -> Digest:
    digest = Digest.of(data)
    async with store.hold(digest, len(data)) as hold:
        await fill(hold, range(-(-len(data) // CHUNK)), data=data)
        await hold.commit(map_of(data))
    return digest


async def has(store: DiskStore, digest: Digest) -> bool:
    try:
        await store.stat(digest)
    except BlobUnknown:
        return False
    return True


async def test_the_least_recently_used_goes_first(store: DiskStore) -> None:
    digests = [await put(store, pattern(CHUNK // 2, i)) for i in range(100)]
    assert await read(store, digests[0])
    for i in range(100, 160):
        await put(store, pattern(CHUNK // 2, i))
        assert store.used <= QUOTA
        assert on_disk(store) <= QUOTA
    assert (await read(store, digests[0])) == pattern(CHUNK // 2, 0)
    held = [await has(store, each) for each in digests[1:]]
    assert not held[0]
    assert held == sorted(held), "the longest unused are gone, and only they"


async def test_what_was_evicted_and_comes_back_is_counted_once(store: DiskStore) -> None:
    small = [pattern(2 * CHUNK, i) for i in range(40)]
    for data in small:
        await put(store, data)
    assert store.counts.evicted_bytes > 0
    assert store.counts.refetched_bytes == 0, "each came for the first time"
    await put(store, small[0])
    back = store.counts.refetched_bytes
    assert 2 * CHUNK <= back <= 3 * CHUNK
    await put(store, small[0])
    assert store.counts.refetched_bytes == back


async def test_what_came_back_after_long_is_no_thrashing(tmp_path: Path) -> None:
    clock = Clock()
    store = await DiskStore.start(
        tmp_path / "store", quota=QUOTA, evict=True, fsync=DiskFsync.NEVER, clock=clock
    )
    for i in range(40):
        await put(store, pattern(2 * CHUNK, i))
    clock.now += 8 * 86400
    await put(store, pattern(2 * CHUNK, 0))
    assert store.counts.refetched_bytes == 0
    await store.close()


async def test_a_scan_leaves_the_popular(store: DiskStore, tmp_path: Path) -> None:
    """Also after a restart: what is known of uses is on the disk."""
    popular = [await put(store, pattern(CHUNK, i)) for i in range(20)]
    for i in range(60):
        await put(store, pattern(CHUNK, 100 + i))
        for digest in popular:
            assert await read(store, digest)
    await store.close()
    again = await DiskStore.start(tmp_path / "store", quota=QUOTA, evict=True, fsync=DiskFsync.NEVER)
    for i in range(150):
        await put(again, pattern(CHUNK, 1000 + i))
    assert all([await has(again, each) for each in popular])
    await again.close()
    store.close = _nothing  # type: ignore[method-assign]


async def test_an_image_keeps_its_manifest_while_its_layers_come(store: DiskStore) -> None:
    """The layers take all of the cache, and what names them is used first: it is of least use, and worth the most."""
    await put(store, pattern(40 * CHUNK, 1))
    manifest, configuration = await put(store, pattern(700, 2)), await put(store, pattern(9_000, 3))
    layers = [await bring(store, pattern(10 * CHUNK, 10 + i)) for i in range(6)]
    assert store.counts.evicted_bytes > 40 * CHUNK, "layers too were evicted"
    assert await has(store, manifest)
    assert await has(store, configuration)
    assert await has(store, layers[-1])


async def test_what_is_small_goes_in_its_time(store: DiskStore) -> None:
    """Some turnovers after it was used: the cache does not fill up with manifests."""
    manifest = await put(store, pattern(700, 1))
    for i in range(8 * 8):
        await bring(store, pattern(8 * CHUNK, 10 + i))
    assert not await has(store, manifest)


async def test_what_is_left_of_a_victim_goes_next(store: DiskStore) -> None:
    """A blob that lost its end is of no more use than before."""
    victim = pattern(30 * CHUNK)
    digest = await bring(store, victim)
    small = [await put(store, pattern(CHUNK, i)) for i in range(1, 68)]
    held = [await has(store, each) for each in small]
    assert held == sorted(held)
    async with store.hold(digest, len(victim)) as hold:
        left = hold.run(0, 30, ChunkState.PROVEN)
    limit = (store.shelf.room.ledger.limit or 0) // CHUNK
    assert limit - 4 <= left + sum(held) <= limit
    assert left == 0 or all(held)


async def test_steps_are_small(store: DiskStore) -> None:
    for i in range(300):
        await put(store, pattern(CHUNK // 2, i))
        if i > 150:
            assert store.used > 0.93 * (store.shelf.room.ledger.limit or 0)
    assert store.counts.evictions > 100


async def test_what_is_read_is_spared(store: DiskStore) -> None:
    first = await put(store, pattern(CHUNK, 1))
    async with store.open(first) as reading:
        for i in range(2, 150):
            await put(store, pattern(CHUNK // 2, i))
        assert await drain(reading) == pattern(CHUNK, 1)
    assert await has(store, first)


async def test_what_another_process_reads_is_spared(store: DiskStore, tmp_path: Path) -> None:
    other = await DiskStore.start(tmp_path / "store", quota=QUOTA, evict=True, fsync=DiskFsync.NEVER)
    first = await put(store, pattern(CHUNK, 1))
    async with other.open(first) as reading:
        for i in range(2, 150):
            await put(store, pattern(CHUNK // 2, i))
        assert await drain(reading) == pattern(CHUNK, 1)
    await other.close()


async def test_a_large_blob_goes_from_its_end(store: DiskStore) -> None:
    data = pattern(40 * CHUNK)
    digest = await bring(store, data)
    for i in range(30):
        await bring(store, pattern(CHUNK, 100 + i))
        assert store.used <= QUOTA
        assert on_disk(store) <= QUOTA
    assert not await has(store, digest)
    async with store.hold(digest, len(data)) as hold:
        held = hold.run(0, 40, ChunkState.PROVEN)
        assert 20 <= held < 40
        assert all([await hold.check(i) for i in range(held)])
        assert hold.run(held, 40, ChunkState.UNPROVEN) == held


async def test_partial_blobs_go_from_their_end(store: DiskStore) -> None:
    data = pattern(50 * CHUNK)
    digest = Digest.of(data)
    async with store.hold(digest, len(data)) as hold:
        await fill(hold, range(40), data=data)
        assert store.used >= 40 * CHUNK
    for i in range(40):
        await bring(store, pattern(CHUNK, 100 + i))
        assert on_disk(store) <= QUOTA
    async with store.hold(digest, len(data)) as hold:
        held = hold.run(0, 50, ChunkState.PROVEN)
        assert 10 <= held < 40
        span = chunk_span(held - 1, len(data))
        assert await held_bytes(hold, span) == data[span.start : span.stop]


async def test_full_where_nothing_can_go(store: DiskStore) -> None:
    data = pattern(80 * CHUNK)
    digest = Digest.of(data)
    async with store.hold(digest, len(data)) as hold:
        with pytest.raises(StoreFull):
            await fill(hold, range(80), data=data)
        assert store.used <= QUOTA
        await hold.discard()
    assert store.used == 0
    await put(store, pattern(CHUNK))


async def test_a_blob_larger_than_the_quota_evicts_nothing(store: DiskStore) -> None:
    digest = await put(store, pattern(CHUNK))
    with pytest.raises(StoreFull):
        async with store.ingest(size=QUOTA + 1):
            pass
    assert await has(store, digest)


async def test_an_origin_is_full_and_evicts_nothing(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, quota=4 * CHUNK, fsync=DiskFsync.NEVER)
    digests = [await put(store, pattern(CHUNK, i)) for i in range(4)]
    with pytest.raises(StoreFull):
        await put(store, pattern(CHUNK, 9))
    assert all([await has(store, each) for each in digests])
    await store.delete(digests[0])
    await put(store, pattern(CHUNK, 9))
    await store.close()


async def test_all_is_given_back(store: DiskStore) -> None:
    """Every way a byte may leave."""
    data = pattern(3 * CHUNK + 5)
    await store.delete(await put(store, data))
    await store.delete(await bring(store, data))
    async with store.ingest(size=len(data)) as ingest:
        await ingest.write(data)
    async with store.hold(Digest.of(data), len(data)) as hold:
        await fill(hold, range(2), data=data)
        await hold.discard()
    async with store.hold(Digest.of(data), len(data)) as hold:
        await fill(hold, range(2), data=data)
        hold.mark(0, ChunkState.MISSING)
        hold.mark(1, ChunkState.MISSING)
    async with store.hold(Digest.of(data), len(data)) as hold:
        hold.claim(range(1))
        await hold.write(0, given(data[:1000]), lambda: None)
    assert store.used == 0
    assert on_disk(store) == 0


async def test_the_count_is_right(store: DiskStore) -> None:
    data = pattern(3 * CHUNK + 5)
    await bring(store, data)
    assert store.used == on_disk(store)
    async with store.hold(Digest.of(b"x"), 5 * CHUNK) as hold:
        await fill(hold, range(2), data=data[: 2 * CHUNK])
        assert store.used == on_disk(store)
    await put(store, pattern(100_000))
    await put(store, pattern(2 * CHUNK, 5), "sha512")
    assert store.used == on_disk(store)


async def test_many_writers_stay_within(store: DiskStore) -> None:
    async def one(i: int) -> None:
        for n in range(6):
            await put(store, pattern(CHUNK + 100 * i, i * 100 + n))
            assert store.used <= QUOTA

    await asyncio.gather(*(one(i) for i in range(24)))
    assert on_disk(store) <= store.used
    assert charge(store.used) == store.used


async def test_count_after_a_restart(store: DiskStore, tmp_path: Path) -> None:
    await put(store, pattern(5 * CHUNK))
    async with store.hold(Digest.of(b"x"), 9 * CHUNK) as hold:
        await fill(hold, range(3), data=pattern(3 * CHUNK))
    used = store.used
    await store.close()
    again = await DiskStore.start(tmp_path / "store", quota=QUOTA, evict=True)
    assert again.used == used
    await again.close()
    store.close = _nothing  # type: ignore[method-assign]


async def _nothing() -> None:
    """Closed already."""


async def test_what_is_still_in_a_sockets_queue_arrives_as_it_was(store: DiskStore) -> None:
    """sendfile(2) queues pages, not copies: a hole punched into a part of a large folio would zero them there."""
    data = pattern(8 * CHUNK)
    digest = Digest.of(data)
    async with store.hold(digest, len(data)) as hold:
        assert hold.claim(range(8)) == range(8)
        await hold.write(0, given(data), lambda: None)  # one write: one folio
        for index in range(8):
            hold.mark(index, ChunkState.PROVEN)
        await hold.commit(map_of(data))
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            async with store.open(digest) as reading:
                async for part in reading.pieces():
                    assert isinstance(part, FileSlice)
                    assert os.sendfile(server.fileno(), part.fd, part.start, len(part)) == len(part)
            await put(store, pattern(52 * CHUNK, 1))
            assert not await has(store, digest)
            assert on_disk(store) <= QUOTA
            got = bytearray()
            while len(got) < len(data):
                got += client.recv(1 << 20)
    assert got == data


async def test_who_opens_a_blob_while_it_is_evicted_in_part_gets_none_of_its_holes(store: DiskStore) -> None:
    data = pattern(8 * CHUNK)
    digest = await bring(store, data)
    assert await read(store, digest) == data  # proven, and remembered as that
    store.whole_blobs.files.close()
    evictor = store.evictor
    assert evictor is not None

    def evict(point: str) -> None:
        if point == "open.opened":
            points.arm(None)
            row = store.shelf.index.row(digest)
            assert row is not None
            assert evictor.shrink(row, 3 * CHUNK) == 3 * CHUNK

    points.arm(evict)
    try:
        with pytest.raises(BlobUnknown):
            await read(store, digest)
    finally:
        points.arm(None)


async def test_records_and_the_index_are_within_the_quota_too(tmp_path: Path) -> None:
    quota = 800 * CHUNK
    store = await DiskStore.start(tmp_path, quota=quota, evict=True, fsync=DiskFsync.NEVER)
    try:
        before = store.shelf.room.ledger.limit or 0
        for number in range(1_500):
            await store.records.put(f"media-types/{number % 50}/{number}", b"application/x")
        overhead = Overhead(store.layout, quota)
        index = store.layout.index.stat().st_size
        assert overhead.limit(0) <= quota - 1_500 * 4096 - index
        assert overhead.limit(0) < before
        assert Overhead(store.layout, 80 * CHUNK).limit(0) == 70 * CHUNK, "a cache must cache"
    finally:
        await store.close()


@pytest.mark.parametrize("log", [0, 3 * MIB, 9 * MIB])
def test_what_the_index_takes_is_left_room_for_and_its_log_may_grow(tmp_path: Path, log: int) -> None:
    layout, quota = Layout(tmp_path), 256 * MIB
    layout.index.parent.mkdir()
    files = {"": 5 * MIB, "-wal": log, "-shm": 96 << 10}
    for end, size in files.items():
        layout.index.with_name(layout.index.name + end).write_bytes(bytes(size))
    left = quota - Overhead(layout, quota).limit(0)
    assert left >= sum(files.values()) + 2 * MIB


class Vanishing(WholeBlobs):
    """Whole blobs of a store that are gone whenever they are opened, and are deleted the `times`-th time."""

    def __init__(self, store: DiskStore, times: int) -> None:
        super().__init__(store.shelf, store.use, cache=True)
        self._store = store
        self._left = times

    async def open(self, digest: Digest) -> OpenFile:
        self._left -= 1
        if not self._left:
            await self._store.delete(digest)
        raise BlobUnknown(digest=str(digest))


@pytest.mark.parametrize("times", [1, 3, 100])
async def test_what_is_evicted_while_it_is_opened_to_be_held_is_not_unknown(
    tmp_path: Path, times: int
) -> None:
    """It is seen to be complete, and then it is not there: nobody may be told that there is no such blob."""
    store = await DiskStore.start(tmp_path, evict=True)
    data = pattern(3 * CHUNK)
    digest = await put(store, data)
    holds = Holds(store.shelf, Vanishing(store, times), store.use)
    if times < 100:
        async with holds.open(digest, len(data)) as hold:
            assert not hold.committed and not any(hold.states())
    else:
        with pytest.raises(StoreBroken, match="is being evicted"):
            async with holds.open(digest, len(data)):
                pass
    await store.close()
