"""A cache in front of a source: what leaves is right, and every byte comes once."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.chunks.readahead import ReadaheadPolicy
from registry_mesh.chunks.steal import StealPolicy
from registry_mesh.content.fill.fill import Fill
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.phases import Phase
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.unkept import PassedBlob
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import FileSlice, Piece
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import SourceLied, SourceUnavailable, SpanUnsatisfiable, StoreBroken
from registry_mesh.ports.partial import ChunkState, Hold
from registry_mesh.ports.pieces import in_memory
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually
from tests.simulators.origins import HandClock
from tests.simulators.source import SimulatedSource
from tests.simulators.ticks import tick_after
from tests.suites.bytes_of import read

NEVER = FillPolicy(complete_after=2)


def blob(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class Cache:
    """A pull-through over a simulated source, and what its clients received."""

    def __init__(
        self,
        policy: FillPolicy = NEVER,
        *,
        store: CacheStore | None = None,
        now: Callable[[], float] | None = None,
        **knobs: object,
    ) -> None:
        self.source = SimulatedSource(**knobs)  # type: ignore[arg-type]
        self.store = store or MemoryStore()
        self.fills = Fills(self.store, policy, now)
        self.lies: list[tuple[str, str]] = []
        self.through = PullThrough(
            self.store, self.source, self.fills, lambda s, d, r: self.lies.append((s, r))
        )

    async def get(self, digest: Digest, span: Span | None = None, into: bytearray | None = None) -> bytes:
        got = into if into is not None else bytearray()
        async with self.through.open(digest, span) as reading:
            async for data in in_memory(reading):
                got += data
            assert len(got) == len(reading.span)
        return bytes(got)

    async def settled(self) -> None:
        """Until no fill moves anything."""
        await eventually(lambda: all(fill.idle for fill in self.fills.open), self.fills)


Make = Callable[..., Awaitable[Cache]]


@pytest.fixture(params=["memory", "disk", "disk, direct"])
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Caches over a store of each kind; and where the thread that stores also receives."""
    made: list[Cache] = []

    async def one(policy: FillPolicy = NEVER, *, quota: int | None = None, **knobs: object) -> Cache:
        store: CacheStore = MemoryStore(quota)
        if request.param != "memory":
            store = await DiskStore.start(tmp_path / str(len(made)), quota=quota, evict=True)
        made.append(Cache(policy, store=store, direct=request.param == "disk, direct", **knobs))
        return made[-1]

    yield one
    for cache in made:
        await cache.fills.close()
        await cache.store.close()  # type: ignore[attr-defined]  # not of the port


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("size", [1, 1000, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 77])
async def test_whole_blob_comes_once_and_is_kept(make: Make, size: int, maps: bool) -> None:
    cache = await make(maps=maps)
    data = blob(size)
    digest = cache.source.add(data)
    assert await cache.get(digest) == data
    assert cache.source.opened == [Span(0, size)]
    cache.source.down = True
    assert await cache.get(digest) == data
    assert await cache.get(digest, Span(size // 2, size)) == data[size // 2 :]
    assert (await cache.store.stat(digest)).size == size


async def test_who_is_woken_late_is_given_no_fill_that_was_closed_meanwhile(make: Make) -> None:
    cache = await make()
    data = blob(3 * CHUNK)
    digest = cache.source.add(data)

    async def joined_and_closed() -> Fill:
        fill = await cache.fills.join(digest, cache.through.via, None)
        await cache.fills.drop(digest)
        return fill

    first = asyncio.ensure_future(joined_and_closed())  # it is woken before the other
    await asyncio.sleep(0)
    assert await cache.get(digest) == data
    assert (await first).state.phase is Phase.CLOSED


class MarkedBeforeALook:
    """A partial blob of which another process marks a chunk just before this one looks at its states the n-th time."""

    def __init__(self, hold: Hold, mark: Callable[[], None], looks: int) -> None:
        self._hold = hold
        self._mark = mark
        self._looks = looks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hold, name)

    def state(self, index: int) -> ChunkState:
        self._look()
        return self._hold.state(index)

    def run(self, index: int, stop: int, state: ChunkState) -> int:
        self._look()
        return self._hold.run(index, stop, state)

    def _look(self) -> None:
        self._looks -= 1
        if not self._looks:
            self._mark()


class Marking:
    """A store of such partial blobs."""

    def __init__(self, store: CacheStore, mark: Callable[[], None], looks: int) -> None:
        self._store = store
        self._how = mark, looks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def hold(self, digest: Digest, size: int) -> AsyncIterator[MarkedBeforeALook]:
        async with self._store.hold(digest, size) as hold:
            yield MarkedBeforeALook(hold, *self._how)


@pytest.mark.parametrize("maps", [False, True])
async def test_a_chunk_that_another_process_marks_while_its_reader_looks_is_seen(
    make: Make, maps: bool
) -> None:
    """Whichever look it comes before: also the last before the reader waits, after which nobody wakes it."""
    cache = await make(maps=maps, gate=asyncio.Event())  # nothing comes from the parent
    for looks in range(1, 16):
        data = blob(2 * CHUNK, seed=looks)
        digest = cache.source.add(data)
        async with cache.store.hold(digest, len(data)) as other:
            assert other.claim(range(2)) == range(2)
            written = [memoryview(data)]
            await other.write(0, lambda: [written.pop()] if written else (), lambda: None)  # noqa: B023
            mark = partial(other.mark, 0, ChunkState.PROVEN if maps else ChunkState.UNPROVEN)
            cache.fills = Fills(Marking(cache.store, mark, looks), NEVER)  # type: ignore[arg-type]  # gives the rest on
            cache.through = PullThrough(cache.store, cache.source, cache.fills)
            async with asyncio.timeout(60):
                assert await cache.get(digest, Span(5, 99)) == data[5:99], f"marked before look {looks}"
            await cache.fills.close()


async def test_who_comes_to_a_stream_that_waits_for_a_slow_reader_has_it_go_on(make: Make) -> None:
    cache = await make(replace(NEVER, window=4 * CHUNK))
    data = blob(40 * CHUNK)
    digest = cache.source.add(data)
    async with cache.through.open(digest) as slow:
        pieces = slow.pieces()
        await anext(pieces)
        [fill] = cache.fills.open
        before = -1
        while before != (came := fill.state.fetched) or came < CHUNK:
            before = came
            await asyncio.sleep(0.2)
        assert CHUNK <= came < 20 * CHUNK, "it waits"
        async with asyncio.timeout(60):
            assert await cache.get(digest, Span(came, came + 9)) == data[came : came + 9]


async def test_a_stream_that_waits_for_too_long_ends_and_begins_again(make: Make) -> None:
    cache = await make(replace(NEVER, window=4 * CHUNK, patience=0.3))
    data = blob(40 * CHUNK)
    digest = cache.source.add(data)
    async with cache.through.open(digest) as slow:
        pieces = in_memory(slow)
        got = await anext(pieces)
        [fill] = cache.fills.open
        await eventually(lambda: not len(fill.transfers), "the end of the transfers", seconds=60)
        got += b"".join([piece async for piece in pieces])
    assert got == data
    assert len(cache.source.opened) > 1 and cache.source.opened[1].start % CHUNK == 0


async def test_as_many_streams_as_there_may_be_wait_for_slow_readers(make: Make) -> None:
    """One of them gives way to who has had nothing yet."""
    cache = await make(replace(NEVER, window=2 * CHUNK, streams=2))
    data = blob(90 * CHUNK)
    digest = cache.source.add(data)
    async with AsyncExitStack() as stack:
        slow = []
        for start in (30, 60):
            span = Span(start * CHUNK, (start + 30) * CHUNK)
            slow.append((await stack.enter_async_context(cache.through.open(digest, span))).pieces())
            await anext(slow[-1])
        async with asyncio.timeout(60):
            assert await cache.get(digest, Span(0, 9)) == data[:9]


async def test_a_slow_reader_of_one_process_does_not_slow_those_of_another(make: Make) -> None:
    cache = await make(replace(NEVER, window=4 * CHUNK))
    data = blob(40 * CHUNK)
    digest = cache.source.add(data)
    elsewhere = Fills(cache.store, replace(NEVER, window=4 * CHUNK))
    theirs = PullThrough(cache.store, cache.source, elsewhere)
    try:
        async with cache.through.open(digest) as slow:
            pieces = slow.pieces()
            await anext(pieces)
            async with asyncio.timeout(60):
                assert await read(theirs, digest) == data
            assert cache.source.sent == len(data), "each byte came once"
    finally:
        await elsewhere.close()


async def test_a_fill_that_is_closed_under_its_reader_begins_nothing_more(make: Make) -> None:
    """Its reader wakes while the transfer is ended, and would have another begun, which nobody would end."""
    cache = await make(gate=asyncio.Event())
    data = blob(8 * CHUNK)
    digest = cache.source.add(data)
    reading = asyncio.create_task(cache.get(digest))
    await eventually(lambda: [fill for fill in cache.fills.open if len(fill.state.readers)], "a reader")
    (fill,) = cache.fills.open
    await cache.fills.close()
    with pytest.raises(SourceUnavailable, match="closing"):
        await reading
    assert not len(fill.transfers)
    assert cache.source.opened == [Span(0, len(data))]


async def test_a_fill_that_took_the_place_of_another_is_not_closed_for_it(make: Make) -> None:
    """Fills are closed one after the other, and meanwhile new ones begin."""
    clock = HandClock()
    cache = await make(now=clock)
    data, other = blob(2 * CHUNK), blob(CHUNK, seed=1)
    digest, first = cache.source.add(data), cache.source.add(other)
    for each in (first, digest):
        await cache.get(each, Span(0, 9))
    await cache.settled()
    slow, old = cache.fills.open
    closing, go_on = asyncio.Event(), asyncio.Event()

    async def close_slowly() -> None:
        closing.set()
        await go_on.wait()

    slow.close = close_slowly  # type: ignore[method-assign]
    clock.now += 60  # neither was used for long
    await closing.wait()
    await old.state.outcome.discard()
    assert await cache.get(digest) == data
    new, retired = cache.fills.open
    assert new is not old and retired is old
    with new.open_readings.begin():
        go_on.set()
        await eventually(lambda: old.state.phase is Phase.CLOSED, "all that was to be closed")
        assert new.state.phase is not Phase.CLOSED


class EndsBadly:
    """A store whose disk fails when the hold of one blob is left."""

    def __init__(self, store: CacheStore, of: Digest) -> None:
        self._store = store
        self._of = of

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def hold(self, digest: Digest, size: int) -> AsyncIterator[Hold]:
        async with self._store.hold(digest, size) as hold:
            yield hold
        if digest == self._of:
            raise StoreBroken("syncing: input/output error")


async def test_a_fill_whose_disk_fails_at_its_end_does_not_keep_the_others(make: Make) -> None:
    """What a fill holds open is not evicted: none may stay so, also where a disk went bad for a while."""
    clock = HandClock()
    cache = await make(now=clock)
    data, other = blob(2 * CHUNK), blob(2 * CHUNK, seed=1)
    first, second = cache.source.add(data), cache.source.add(other)
    cache.fills = Fills(EndsBadly(cache.store, first), NEVER, clock)
    cache.through = PullThrough(cache.store, cache.source, cache.fills)
    for each in (first, second):
        await cache.get(each, Span(0, 9))
    await cache.settled()
    clock.now += 60  # neither was used for long
    await eventually(lambda: not cache.fills.open, cache.fills)
    assert await cache.get(first) == data
    assert await cache.get(second) == other
    await cache.fills.close()


async def test_the_empty_blob_needs_nobody(make: Make) -> None:
    cache = await make(down=True)
    assert await cache.get(Digest.of(b"")) == b""


async def test_cold_range_moves_only_its_chunks(make: Make) -> None:
    cache = await make()
    data = blob(9 * CHUNK + 5)
    digest = cache.source.add(data)
    span = Span(4 * CHUNK - 10, 4 * CHUNK + 10)
    assert await cache.get(digest, span) == data[span.start : span.stop]
    await cache.settled()
    assert cache.source.sent == 2 * CHUNK
    assert await cache.get(digest, span) == data[span.start : span.stop]
    assert cache.source.sent == 2 * CHUNK


async def test_range_at_the_end_and_past_it(make: Make) -> None:
    cache = await make()
    data = blob(2 * CHUNK + 5)
    digest = cache.source.add(data)
    assert await cache.get(digest, Span(2 * CHUNK, 1 << 62)) == data[2 * CHUNK :]
    with pytest.raises(SpanUnsatisfiable) as caught:
        await cache.get(digest, Span(len(data), 1 << 62))
    assert caught.value.size == len(data)


async def test_unknown_is_unknown_and_down_is_a_failure(make: Make) -> None:
    cache = await make()
    with pytest.raises(BlobUnknown):
        await cache.get(Digest.of(b"nowhere"))
    cache.source.down = True
    with pytest.raises(SourceUnavailable):
        await cache.get(Digest.of(b"nowhere"))


@pytest.mark.parametrize("maps", [False, True])
async def test_many_readers_share_one_stream(make: Make, maps: bool) -> None:
    cache = await make(maps=maps)
    data = blob(6 * CHUNK)
    digest = cache.source.add(data)
    assert all(got == data for got in await asyncio.gather(*(cache.get(digest) for _ in range(50))))
    assert cache.source.opened == [Span(0, len(data))]
    assert cache.source.sent == len(data)


@pytest.mark.parametrize("maps", [False, True])
async def test_readers_of_all_kinds_move_each_byte_once(make: Make, maps: bool) -> None:
    cache = await make(maps=maps)
    data = blob(20 * CHUNK + 123)
    digest = cache.source.add(data)
    rng = random.Random(1)

    async def reader() -> None:
        if rng.random() < 0.3:
            assert await cache.get(digest) == data
            return
        start = rng.randrange(len(data))
        stop = min(len(data), start + rng.randrange(1, 3 * CHUNK))
        await asyncio.sleep(rng.random() * 0.05)
        assert await cache.get(digest, Span(start, stop)) == data[start:stop]

    await asyncio.gather(*(reader() for _ in range(50)))
    assert cache.source.sent <= 1.01 * len(data)


async def test_bytes_flow_before_the_fill_ends(make: Make) -> None:
    cache = await make(gate=asyncio.Event(), gate_at=32 * CHUNK)
    data = blob(64 * CHUNK)
    digest = cache.source.add(data)
    async with cache.through.open(digest) as reading:
        first = await anext(in_memory(reading))
        assert data.startswith(first)
        assert cache.source.sent < len(data)


@pytest.mark.parametrize("size", [64 << 10, 50_001], ids=["aligned", "as they come"])
async def test_abort_keeps_what_came_and_the_next_pull_moves_the_rest(make: Make, size: int) -> None:
    """No piece need ever end where a chunk does."""
    cache = await make(FillPolicy(window=CHUNK, complete_after=2), piece=size)
    data = blob(40 * CHUNK)
    digest = cache.source.add(data)
    got = 0
    async with cache.through.open(digest) as reading:
        async for piece in in_memory(reading):
            got += len(piece)
            if got >= 4 * CHUNK:
                break
    await cache.settled()
    before = cache.source.sent
    assert before <= 7 * CHUNK
    assert await cache.get(digest) == data
    assert cache.source.sent <= len(data) + size


@pytest.mark.parametrize("maps", [False, True])
async def test_a_stream_that_passes_several_holes_goes_on_behind_each(make: Make, maps: bool) -> None:
    """Readers far ahead have their chunks fetched apart; pieces of the long stream end anywhere."""
    steal = StealPolicy(near=CHUNK, soon=0.0, waste=1.0)
    cache = await make(FillPolicy(steal=steal), piece=50_001, delay=0.002, maps=maps)
    data = blob(40 * CHUNK)
    digest = cache.source.add(data)

    async def ahead(chunk: int) -> bytes:
        await eventually(lambda: cache.source.sent, "the first bytes")
        return await cache.get(digest, Span(chunk * CHUNK, (chunk + 1) * CHUNK))

    holes = (12, 20, 21, 30)
    whole, *parts = await asyncio.gather(cache.get(digest), *(ahead(chunk) for chunk in holes))
    assert whole == data
    assert parts == [data[chunk * CHUNK : (chunk + 1) * CHUNK] for chunk in holes]
    assert len(cache.source.opened) > 2, "something was fetched apart"
    assert not cache.lies


async def test_a_leaver_does_not_hurt_a_follower(make: Make) -> None:
    cache = await make(delay=0.0005)
    data = blob(4 * CHUNK)
    digest = cache.source.add(data)
    leaver = asyncio.create_task(cache.get(digest))
    await asyncio.sleep(0.01)
    follower = asyncio.create_task(cache.get(digest))
    await asyncio.sleep(0.01)
    leaver.cancel()
    assert await follower == data
    assert cache.source.sent == len(data)


async def test_a_stream_that_is_cut_resumes_at_the_same_byte(make: Make) -> None:
    cache = await make(cut_every=30_000, piece=10_000)
    data = blob(3 * CHUNK)
    digest = cache.source.add(data)
    assert await cache.get(digest) == data
    assert cache.source.sent == len(data)
    assert len(cache.source.opened) == 14


@pytest.mark.parametrize("flip", [0, 2 * CHUNK + 5, 4 * CHUNK - 1])
async def test_a_wrong_byte_never_completes(make: Make, flip: int) -> None:
    cache = await make(flip_at=flip)
    data = blob(4 * CHUNK)
    digest = cache.source.add(data)
    got = bytearray()
    with pytest.raises(SourceLied):
        await cache.get(digest, into=got)
    assert len(got) < len(data)
    assert cache.lies
    with pytest.raises(BlobUnknown):
        await cache.store.stat(digest)
    cache.source.flip_at = None
    assert await cache.get(digest) == data


@pytest.mark.parametrize("flip", [0, 2 * CHUNK + 5, 4 * CHUNK - 1])
async def test_with_a_chunk_map_no_wrong_byte_leaves(make: Make, flip: int) -> None:
    cache = await make(flip_at=flip, maps=True)
    data = blob(4 * CHUNK)
    digest = cache.source.add(data)
    got = bytearray()
    with pytest.raises(SourceLied):
        await cache.get(digest, into=got)
    assert data.startswith(got)
    assert cache.lies[0] == ("parent", f"chunk {flip // CHUNK} does not fit the chunk map")
    cache.source.flip_at = None
    assert await cache.get(digest) == data


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("quota", [0, 2 * CHUNK])
async def test_a_full_store_is_read_past(make: Make, quota: int, maps: bool) -> None:
    cache = await make(quota=quota, maps=maps)
    data = blob(5 * CHUNK + 9)
    digest = cache.source.add(data)
    cache.fills.unkept.limit = quota
    assert await cache.get(digest) == data
    assert cache.fills.unkept.take() == [PassedBlob(digest, None, len(data), 1)]
    span = Span(CHUNK + 5, 4 * CHUNK)
    assert await cache.get(digest, span) == data[span.start : span.stop]
    with pytest.raises(BlobUnknown):
        await cache.store.stat(digest)


async def test_rot_right_after_a_fill_is_found_and_mended(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, evict=True)
    cache = Cache(store=store)
    data = blob(3 * CHUNK)
    digest = cache.source.add(data)
    for offset in (0, CHUNK + 7, 3 * CHUNK - 1):
        assert await cache.get(digest) == data
        path = next(p for p in tmp_path.rglob(digest.hex) if p.is_file())
        tick_after(path)
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(bytes([data[offset] ^ 1]))
        before = cache.source.sent
        span = Span(offset // CHUNK * CHUNK, offset + 1)
        assert await cache.get(digest, span) == data[span.start : span.stop]
        await cache.settled()
        assert cache.source.sent - before == CHUNK
        assert await cache.get(digest) == data
    await cache.fills.close()
    await store.close()


async def turns_between(cache: Cache, digest: Digest, readers: int) -> int:
    """Turns of the loop from the first reader's first piece to the last one's."""
    turns, ended = 0, list[int]()

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read_one() -> None:
        async with cache.through.open(digest, Span(0, CHUNK)) as reading:
            await anext(aiter(reading.pieces()))
        ended.append(turns)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(read_one() for _ in range(readers)))
    counting.cancel()
    await cache.settled()
    return max(ended) - min(ended)


async def test_a_crowd_is_let_go_at_once_by_one_check(tmp_path: Path) -> None:
    """Chunks of an earlier life are checked when they are first read: once, and nobody queues for having it checked."""
    data = blob(3 * CHUNK)
    for life, crowd in enumerate((1, 200)):
        store = await DiskStore.start(tmp_path, evict=True)
        cache = Cache(store=store)
        digest = cache.source.add(data)
        assert await turns_between(cache, digest, crowd) < 50
        assert len(cache.source.opened) == 1 - life, "in the second life it is held"
        await cache.fills.close()
        await store.close()


@pytest.mark.parametrize("quota", [CHUNK, 8 * CHUNK, 16 * CHUNK])
async def test_a_store_that_fills_up_on_the_way_spoils_nobody(make: Make, quota: int) -> None:
    """What was received and could not be written must not be written anywhere else."""
    for seed in range(2):
        cache = await make(quota=quota)
        data = blob(40 * CHUNK + 5, seed)
        digest = cache.source.add(data)
        assert all(got == data for got in await asyncio.gather(*(cache.get(digest) for _ in range(3))))


async def test_a_failure_that_is_kept_keeps_no_buffers(make: Make) -> None:
    """Its frames would: those of the transfer that met it, and of each reader who was told."""
    cache = await make(quota=8 * CHUNK)
    digest = cache.source.add(blob(40 * CHUNK))
    await asyncio.gather(*(cache.get(digest) for _ in range(3)))
    fills = cache.fills.open
    kept = [fill.state.unstorable for fill in fills if fill.state.unstorable is not None]
    await cache.fills.close()
    assert kept
    assert all(each.__traceback__ is each.__context__ is each.__cause__ is None for each in kept)


async def test_what_a_slow_reader_was_given_stays_when_the_fill_fails(make: Make) -> None:
    """A reader holds a slice of the growing file while the stream ends for good: the part of a chunk that came is
    given back to the disk, and must not be part of that slice."""
    gate = asyncio.Event()  # a reader that is late finds the stream under way
    cache = await make(piece=48 << 10, delay=0.001, gate=gate, gate_at=6 * CHUNK)
    data = blob(8 * CHUNK)
    digest = cache.source.add(data)
    given: list[Piece] = []
    async with cache.through.open(digest) as reading:
        with pytest.raises(SourceUnavailable):
            async for piece in reading.pieces():
                given.append(piece)
                came = sum(map(len, given))
                if not cache.source.down and (came % CHUNK or came >= 4 * CHUNK):
                    cache.source.down = True
                    gate.set()
                    await eventually(
                        lambda: not any(len(fill.transfers) for fill in cache.fills.open),
                        "the end of the transfers",
                    )
                    await asyncio.sleep(0.1)  # a thread gives back what is of no use
        got = b"".join(
            os.pread(piece.fd, len(piece), piece.start) if isinstance(piece, FileSlice) else piece
            for piece in given
        )
    assert got and got == data[: len(got)]


@pytest.mark.parametrize("map_lies_too", [False, True])
async def test_a_wrong_byte_past_a_full_store_never_completes(make: Make, map_lies_too: bool) -> None:
    for flip in (0, 20 * CHUNK, 40 * CHUNK - 1):
        cache = await make(quota=8 * CHUNK, flip_at=flip, maps=map_lies_too, maps_lie=map_lies_too)
        data = blob(40 * CHUNK)
        digest = cache.source.add(data)
        got = bytearray()
        with pytest.raises(SourceLied):
            await cache.get(digest, into=got)
        assert len(got) < len(data)


async def test_most_of_a_blob_read_brings_the_rest(make: Make) -> None:
    cache = await make(FillPolicy(complete_after=0.5))
    data = blob(8 * CHUNK)
    digest = cache.source.add(data)
    assert await cache.get(digest, Span(0, 5 * CHUNK)) == data[: 5 * CHUNK]
    async with asyncio.timeout(60):
        while True:
            try:
                assert (await cache.store.stat(digest)).size == len(data)
                break
            except BlobUnknown:
                await asyncio.sleep(0.01)
    assert cache.source.sent == len(data)


@pytest.mark.parametrize("maps", [False, True])
async def test_ranges_in_sequence_find_the_next_bytes_there(make: Make, maps: bool) -> None:
    data = blob(12 * MIB)
    waits = {}
    for share in (0, 1 / 4):
        policy = FillPolicy(complete_after=2, readahead=ReadaheadPolicy(share=share))
        cache = await make(policy, maps=maps)
        digest = cache.source.add(data)
        waits[share] = 0
        for start in range(0, 8 * MIB, MIB):
            span = Span(start, start + MIB)
            async with cache.through.open(digest, span) as reading:
                waits[share] += not reading.provenance.hit
                assert b"".join([d async for d in in_memory(reading)]) == data[start : start + MIB]
            await cache.settled()
        assert cache.source.sent <= 8 * MIB * (1 + share)
    assert waits[0] == 8
    assert waits[1 / 4] < 8
    assert cache.source.sent > 8 * MIB, "something was fetched ahead"


async def test_nothing_is_fetched_ahead_of_jumps(make: Make) -> None:
    cache = await make(FillPolicy(complete_after=2))
    data = blob(24 * MIB)
    digest = cache.source.add(data)
    for start in (20 * MIB, 4 * MIB, 11 * MIB, 0, 16 * MIB):
        span = Span(start, start + CHUNK)
        assert await cache.get(digest, span) == data[span.start : span.stop]
        await cache.settled()
    assert cache.source.sent == 5 * CHUNK


async def test_what_fails_ahead_fails_nobody(make: Make) -> None:
    cache = await make(FillPolicy(complete_after=2, readahead=ReadaheadPolicy(share=1)))
    data = blob(4 * MIB)
    digest = cache.source.add(data)
    assert await cache.get(digest, Span(0, MIB)) == data[:MIB]
    await cache.settled()
    cache.source.down = True
    assert await cache.get(digest, Span(MIB, 2 * MIB)) == data[MIB : 2 * MIB], "it was there already"
    await cache.settled()
    cache.source.down = False
    assert await cache.get(digest) == data


spans = st.tuples(st.integers(0, 6 * CHUNK - 1), st.integers(1, 3 * CHUNK), st.integers(0, 3))


@settings(max_examples=25, deadline=None)
@given(readers=st.lists(spans, min_size=1, max_size=12), maps=st.booleans(), cut=st.booleans())
def test_any_interleaving_gives_right_bytes_once(
    readers: list[tuple[int, int, int]], maps: bool, cut: bool
) -> None:
    async def story() -> None:
        cache = Cache(maps=maps, cut_every=CHUNK + 4567 if cut else None, piece=25_000)
        data = blob(6 * CHUNK)
        digest = cache.source.add(data)

        async def read(start: int, length: int, turns: int) -> None:
            for _ in range(turns * 5):
                await asyncio.sleep(0)
            span = Span(start, min(len(data), start + length))
            assert await cache.get(digest, span) == data[span.start : span.stop]

        async with asyncio.timeout(20):
            await asyncio.gather(*(read(*r) for r in readers))
        await cache.fills.close()
        assert cache.source.sent <= len(data) * 1.01

    asyncio.run(story())


async def test_the_chunk_map_of_what_is_not_held_is_the_source_s(make: Make) -> None:
    cache = await make(maps=True, gate=asyncio.Event())
    digest = cache.source.add(blob(3 * CHUNK + 5))
    told = await cache.source.chunk_map(digest)
    assert told is not None and await cache.through.chunk_map(digest) == told
    asking = asyncio.ensure_future(cache.get(digest))
    while (fill := cache.fills.get(digest)) is None or fill.comparison.chunk_map(None) is None:
        await asyncio.sleep(0)
    before = cache.source.maps_asked
    assert await cache.through.chunk_map(digest) == told
    assert cache.source.maps_asked == before, "the fill under way has it"
    assert cache.source.gate is not None
    cache.source.gate.set()
    await asking
    assert await cache.through.chunk_map(digest) == told


async def test_a_source_that_is_down_is_no_fault_of_what_is_held_in_part(make: Make) -> None:
    cache = await make(maps=True)
    digest = cache.source.add(blob(5 * CHUNK))
    assert await cache.get(digest, Span(0, CHUNK)) == blob(5 * CHUNK)[:CHUNK]
    cache.source.down = True
    await cache.fills.close()
    assert await cache.through.chunk_map(digest) is None
