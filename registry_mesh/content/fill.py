"""A fill: a blob on its way in, with readers following.

Owned by the server, not by a request. Readers say where they stand and how far they want to go; transfers
(`content.transfer`) bring missing chunks in; every chunk is brought by one transfer, here or in another process
(`Hold.claim`). A reader waits only for its own next bytes.

When is a byte released?
- A chunk map is there (the parent is one of ours): when its chunk was proven.
- None is: when its chunk is written. Never a part of a chunk: what came of one that stays incomplete is given back
  to the disk, under the eyes of a reader that was given a slice of it.
- In both: once every chunk is written, nothing more leaves until the whole digest fitted. So a complete wrong
  answer cannot be, and the last bytes of a blob are proof of all before them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB, ChunkMap, chunk_span, count
from registry_mesh.chunks.readahead import Readahead, ReadaheadPolicy
from registry_mesh.chunks.steal import SKIP, StealPolicy
from registry_mesh.content.errors import Failure, SourceLied, SourceUnavailable, StoreBroken, StoreFull
from registry_mesh.content.ports import BlobSource, CacheStore, ChunkState, FileSlice, Hold, Reading
from registry_mesh.content.prover import Prover
from registry_mesh.content.transfer import Transfer
from registry_mesh.oci.digest import Digest, Hasher
from registry_mesh.oci.errors import Refusal
from registry_mesh.oci.span import Span

TRANSFERS: Final = 64
"""Streams for one blob at a time."""

BEHIND: Final = 4 * MIB // CHUNK
"""Written chunks that wait to be hashed before a thread is sent after them."""

SLICE: Final = 32 * MIB
"""A reader is handed at most this much at a time, so that it is seen to move."""


@dataclass(frozen=True, slots=True)
class FillPolicy:
    """`window`: bytes a transfer runs ahead of the reader that wants it. `complete_after`: the held share from
    which the rest is fetched unasked (0: always; above 1: never). `wake`: seconds between wake-ups of followers."""

    window: int = 16 * MIB
    complete_after: float = 0.9
    steal: StealPolicy = field(default_factory=StealPolicy)
    readahead: ReadaheadPolicy = field(default_factory=ReadaheadPolicy)
    wake: float = 0.002
    poll: float = 0.004


MAP_PAUSES: Final = (0.0, 0.1, 0.3, 0.6)
"""Seconds before each try to get the chunk map."""

LOOK: Final = 256
"""Chunks whose states are looked at at once: a layer of 60 GiB has half a million."""

Distrust = Callable[[str, Digest, str], None]
"""Told (source, digest, reason) when a source's bytes were wrong."""


@dataclass(slots=True, eq=False)
class Reader:
    """Where one reader stands, and how far it wants to go."""

    position: int
    stop: int
    epoch: int
    waiting: asyncio.Future[None] | None = None


class Fill:
    """See the module. Made by `content.fills`, which also closes it."""

    def __init__(
        self, store: CacheStore, hold: Hold, source: BlobSource, policy: FillPolicy, distrust: Distrust
    ) -> None:
        self.hold = hold
        self.digest = hold.info.digest
        self.size = hold.info.size
        self.source = source
        self.prover = Prover(hold)
        self.readings = 0
        """Open ones: whoever has one may follow the fill at any moment."""
        self.wasted = 0
        self.fetched = 0
        self.unstorable: Failure | None = None
        self.lied = False
        self._store = store
        self._policy = policy
        self._distrust = distrust
        self._map: ChunkMap | None = None
        self._map_task: asyncio.Task[None] | None = None
        self._map_lacking = False  # there is one, and it could not be had
        self._rejected: dict[int, dict[str, bytes]] = {}  # chunk → source → the sum it had from there
        self._early: dict[int, bytes | None] = {}  # chunks that came before the map, unmarked, and their sums
        self._sources: set[str] = set()
        self._readers: set[Reader] = set()
        self._readahead = Readahead(policy.readahead)
        self._unread: set[int] = set()  # chunks that were fetched ahead
        self._transfers: dict[Transfer, asyncio.Task[None]] = {}
        self._claims: dict[Transfer, range] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._finishing: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._checked = bytearray(count(self.size))
        self._first_missing = 0
        self._held = count(self.size) - hold.missing()
        self._epoch = 0
        self._followed = False
        self._failure: Exception | None = None
        self._last_failure: Failure | None = None
        self._pending_wake: asyncio.TimerHandle | None = None
        self._unwoken = 0
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()

    def __repr__(self) -> str:
        return (
            f"<Fill {str(self.digest)[:19]} {self.size} bytes, {len(self._readers)} readers, "
            f"{len(self._transfers)} transfers, fetched {self.fetched}, wasted {self.wasted}>"
        )

    # -- readers ---------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        busy = self._readers or self._transfers or self._tasks or self._finishing
        return not self.readings and not busy

    def leave(self) -> None:
        """A reading of it ends."""
        self.readings -= 1

    @property
    def proving(self) -> bool:
        """Whether chunks are to be checked against a map that is there or on its way."""
        return self._map is not None or self._map_task is not None or self._map_lacking

    def holds(self, span: Span) -> bool:
        """Whether all of `span` could be given now."""
        return self._released(span.start, span.stop) >= span.stop

    async def follow(self, span: Span) -> AsyncIterator[FileSlice]:
        """The span's bytes as they come. Raises what keeps them from coming; then what was given is a prefix."""
        self._followed = True
        reader = Reader(span.start, span.stop, self._epoch)
        self._readers.add(reader)
        ahead = self._readahead.after(span)
        if self._is_news(span):
            self._fetch_ahead(ahead)
        try:
            while reader.position < reader.stop:
                stop = await self._proven_until(reader)
                if stop > reader.position:
                    yield self.hold.slice(Span(reader.position, stop))
                    reader.position = stop
                    self._moved.set()
                    continue
                self._raise_if_hopeless(reader)
                reader.waiting = self._loop.create_future()
                self._demand(reader)
                try:
                    await reader.waiting
                finally:
                    reader.waiting = None
        finally:
            self._readers.discard(reader)
            self._moved.set()

    async def hashed(self, stop: int) -> tuple[Hasher, int]:
        """A hasher for who goes on without the store from `stop` on, and the offset that it has come to: as far as
        whole chunks are held."""
        hasher = self.digest.hasher()
        upto = self.hold.run(0, stop // CHUNK, ChunkState.UNPROVEN) * CHUNK
        try:
            await self.hold.feed(Span(0, upto), hasher.update)
        except Failure:
            return self.digest.hasher(), 0
        return hasher, upto

    def _raise_if_hopeless(self, reader: Reader) -> None:
        if self.lied or self.hold.discarded:
            raise SourceLied("the bytes that came do not have the digest asked for", source=self._blamed())
        if self.unstorable is not None:
            raise self.unstorable
        if self._failure is not None and reader.epoch < self._epoch:
            raise self._failure

    async def _proven_until(self, reader: Reader) -> int:
        """How far the reader may go now. Chunks of an earlier life are checked for rot on their first use."""
        stop = self._released(reader.position, min(reader.stop, reader.position + SLICE))
        index = reader.position // CHUNK
        while index * CHUNK < stop:
            if not self._checked[index] and self.hold.state(index) != ChunkState.MISSING:
                if not await self.hold.check(index):
                    self._first_missing = min(self._first_missing, index)
                    return max(reader.position, index * CHUNK)
                self._checked[index] = 1
            index += 1
        return stop

    def _released(self, position: int, stop: int) -> int:
        if self.lied or self.hold.discarded:
            return position
        if self.hold.committed:
            return stop
        if self._complete():
            return position
        need = ChunkState.PROVEN if self.proving else ChunkState.UNPROVEN
        index = position // CHUNK
        upto = self.hold.run(index, count(stop), need)
        return max(position, min(stop, upto * CHUNK))

    def _complete(self) -> bool:
        """Every chunk is written."""
        chunks = count(self.size)
        while self._first_missing < chunks:
            stop = min(chunks, self._first_missing + LOOK)
            self._first_missing = self.hold.run(self._first_missing, stop, ChunkState.UNPROVEN)
            if self._first_missing < stop:
                return False
        return True

    # -- what is to be done for a reader ----------------------------------------------------------------------

    def _demand(self, reader: Reader) -> None:
        if self.hold.committed:
            self._wake_now()
            return
        if self._complete():
            self._finish()
            return
        index = reader.position // CHUNK
        if index in self._early:
            return  # the map is on its way
        if self.hold.state(index) != ChunkState.MISSING:
            self._prove_later(index)
            return
        wanted = range(index, min(count(self.size), count(reader.stop)))
        transfer = next((t for t in self._transfers if t.covers(index)), None)
        if transfer is None:
            self._start(wanted)
        elif self._worth_stealing(transfer, index, reader):
            self._steal(transfer, wanted)

    def _worth_stealing(self, transfer: Transfer, index: int, reader: Reader) -> bool:
        ahead = index * CHUNK - transfer.received
        wanted = count(min(reader.stop, self.size)) * CHUNK - index * CHUNK
        return len(self._transfers) < TRANSFERS and self._policy.steal.steal(
            ahead, transfer.rate, wanted, self.size, self.wasted
        )

    def _steal(self, transfer: Transfer, wanted: range) -> None:
        stop = min(wanted.stop, transfer.chunks.stop, wanted.start + SKIP // CHUNK)
        for hole in transfer.holes:
            if hole.start > wanted.start:
                stop = min(stop, hole.start)
        chunks = range(wanted.start, stop)
        transfer.carve(chunks)
        self.wasted += len(chunks) * CHUNK
        self._launch(Transfer(self, chunks))

    def _start(self, wanted: range, *, unasked: bool = False) -> None:
        """Bring in the leading run of `wanted` that is missing and nobody brings; `unasked`: whoever reads it."""
        if len(self._transfers) >= TRANSFERS:
            return  # a transfer that ends wakes the readers, who ask again
        others = [t.next_after(wanted.start) for t in self._transfers]
        early = [index for index in self._early if index > wanted.start]
        claimed = self.hold.claim(range(wanted.start, min([wanted.stop, *others, *early])))
        if claimed:
            if unasked:
                self._unread.update(claimed)
            self._launch(Transfer(self, claimed, unasked=unasked))
        elif not unasked:
            self._watch_others()

    def _is_news(self, span: Span) -> bool:
        """Whether something of `span` is missing, or was fetched ahead and is read now for the first time: who
        reads again what is held has nothing fetched."""
        chunks = range(span.start // CHUNK, count(span.stop))
        unread = len(self._unread)
        if unread:
            self._unread.difference_update(chunks)
        missing = self.hold.run(chunks.start, chunks.stop, ChunkState.UNPROVEN) < chunks.stop
        return missing or len(self._unread) < unread

    def _fetch_ahead(self, span: Span) -> None:
        """Have what a sequence of ranges comes to next; not before half of it is missing, so that few requests do."""
        if self._failure is not None or self.unstorable is not None:
            return
        first, stop = span.start // CHUNK, min(count(self.size), span.stop // CHUNK)
        held = first
        while held < stop and (
            self.hold.state(held) != ChunkState.MISSING
            or held in self._early
            or any(t.covers(held) for t in self._transfers)
        ):
            held += 1
        if held - first <= (stop - first) // 2 and held < stop and not self._complete():
            self._start(range(held, stop), unasked=True)

    def adopt(self, reading: Reading, stack: AsyncExitStack) -> bool:
        """Take over a stream that was opened to learn the size. False, and the stream is the caller's, where
        another process fills its first chunk already."""
        first = reading.span.start // CHUNK
        claimed = self.hold.claim(range(first, count(reading.span.stop)))
        if not claimed or reading.span.start % CHUNK:
            self.hold.unclaim(claimed)
            return False
        self._launch(Transfer(self, claimed), (stack, reading))
        return True

    def _launch(self, transfer: Transfer, opened: tuple[AsyncExitStack, Reading] | None = None) -> None:
        self._begin_proving()
        self._claims[transfer] = transfer.chunks
        task = self._loop.create_task(self._run(transfer, opened))
        self._transfers[transfer] = task

    async def _run(self, transfer: Transfer, opened: tuple[AsyncExitStack, Reading] | None) -> None:
        try:
            await transfer.run(opened)
            while self._map_task is not None:  # chunks that came before the map are ours until it is here
                await asyncio.wait({self._map_task})
        except (StoreFull, StoreBroken) as failure:
            self.unstorable = failure
        except (Failure, Refusal) as failure:
            if not transfer.unasked:  # else nobody waits for it; who comes to want it asks again
                self._fail(self._last_failure or failure if isinstance(failure, Failure) else failure)
        finally:
            self._transfers.pop(transfer, None)
            for chunks in _without(self._claims.pop(transfer), self._claims.values()):
                self.hold.unclaim(chunks)
            self._wake_now()
        if self._complete() and not self.hold.committed:
            self._finish()
        elif self._policy.complete_after <= 1:
            self._complete_rest()

    def _complete_rest(self) -> None:
        """Most of it is here: fetch the rest, so that the whole is proven and served at full speed."""
        if self._transfers or self._failure is not None or self.unstorable is not None:
            return
        chunks = count(self.size)
        if self._first_missing in self._early:
            return
        if chunks > 1 and self._held >= self._policy.complete_after * chunks and not self._complete():
            self._start(range(self._first_missing, chunks))

    async def wanted(self, transfer: Transfer) -> bool:
        """Hold a transfer back while it is a window ahead of every reader; False where nobody wants more of it.

        It never ends inside a chunk: the bytes on their way are kept.
        """
        while True:
            if self._map_lacking and self._map_task is None:
                return False
            if self._policy.complete_after <= 0:
                return True
            ahead = self._room(transfer)
            if ahead > 0:
                return True
            if ahead < 0:
                return transfer.received % CHUNK != 0 or self._nearly_whole()
            self._moved.clear()
            await self._moved.wait()

    def _room(self, transfer: Transfer) -> int:
        """1: go on. 0: a window ahead of all who want it. -1: nobody wants it."""
        if transfer.unasked:
            return 1
        position, end, wanted = transfer.received, transfer.end, -1
        if not self._followed and position - transfer.chunks.start * CHUNK < self._policy.window:
            return 1  # who made it begin is about to follow
        for reader in self._readers:
            if reader.stop > position and reader.position < end:
                if reader.position + self._policy.window > position:
                    return 1
                wanted = 0
        return wanted

    def _nearly_whole(self) -> bool:
        return self._held >= self._policy.complete_after * count(self.size)

    # -- what transfers tell ----------------------------------------------------------------------------------

    def stumbled(self, failure: Failure) -> None:
        """A stream broke, or was wrong; the transfer goes on elsewhere if it can."""
        self._last_failure = failure
        if isinstance(failure, SourceLied):
            self._distrust(failure.source, self.digest, failure.reason)

    def written(self, index: int, summed: bytes | None, transfer: Transfer) -> None:
        """Chunk `index` is whole. With a map it is proven or thrown away; `SourceLied` ends the stream."""
        if self._map is None and self._map_task is not None:
            self._early[index] = summed
        elif self._map is None:
            self.hold.mark(index, ChunkState.MISSING if self._map_lacking else ChunkState.UNPROVEN)
        elif summed is None:
            self.hold.mark(index, ChunkState.UNPROVEN)
            self._prove_later(index)
        elif self._fits(index, summed):
            self.hold.mark(index, ChunkState.PROVEN)
        else:
            self._throw_away(index)
            transfer.position = index * CHUNK
            self._reject(index, summed, transfer.source)
        self._held += 1  # a lower bound: other processes write too
        self._checked[index] = 1

    def stored(self, size: int, source: str) -> None:
        """A batch was written, and its whole chunks were told of."""
        self.fetched += size
        self._sources.add(source)
        if self.prover.behind(BEHIND):
            self._spawn(self.prover.catch_up())
        self.wake(size)

    def _throw_away(self, index: int) -> None:
        """Wrong bytes: missing again, and out of the hash."""
        self.hold.mark(index, ChunkState.MISSING)
        self._first_missing = min(self._first_missing, index)
        if self.prover.offset > index * CHUNK:
            self.prover = Prover(self.hold)

    def _fits(self, index: int, summed: bytes) -> bool:
        assert self._map is not None
        return self._map.sums[index * 32 : index * 32 + 32] == summed

    def _reject(self, index: int, summed: bytes, source: str) -> None:
        """A chunk that is not what the map says. Two sources that agree against the map convict the map."""
        seen = self._rejected.setdefault(index, {})
        agree = any(other != source and other and value == summed for other, value in seen.items())
        seen[source] = summed
        if agree:
            self._map = None
        raise SourceLied(f"chunk {index} does not fit the chunk map", source=source)

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self._epoch += 1

    # -- chunk maps -------------------------------------------------------------------------------------------

    def _begin_proving(self) -> None:
        first = self.fetched == 0 and not self._transfers
        if self._map is None and self._map_task is None and (first or self._map_lacking):
            self._map_task = self._loop.create_task(self._fetch_map())

    async def _fetch_map(self) -> None:
        failure = await self._ask_for_map()
        self._map_lacking = failure is not None
        if failure is not None:
            self._fail(failure)  # nothing leaves unproven from a parent that could prove it
        await self._settle_early()
        if self._map is not None:
            for index in range(count(self.size)):
                if index % LOOK == 0:
                    await asyncio.sleep(0)
                if self.hold.state(index) == ChunkState.UNPROVEN:
                    await self._prove(index, None)
        self._map_task = None
        self._wake_now()

    async def _settle_early(self) -> None:
        """Mark what came before it was known whether there is a map. Until then nobody takes it for held: not
        another process, and not the next one to open it after this one died."""
        while self._early:
            index, summed = next(iter(self._early.items()))
            if self._map is not None:
                await self._prove(index, summed)
            else:
                self.hold.mark(index, ChunkState.MISSING if self._map_lacking else ChunkState.UNPROVEN)
            self._early.pop(index, None)

    async def _ask_for_map(self) -> Failure | None:
        """What keeps the map from coming; None where it came, or there is none."""
        failure: Failure | None = None
        for pause in MAP_PAUSES:
            if pause:
                await asyncio.sleep(pause)
            try:
                found = await self.source.chunk_map(self.digest)
            except Refusal:
                return None
            except Failure as again:
                failure = again
                continue
            if found is None or found.size == self.size:
                self._map = found
                return None
            failure = SourceLied(f"a chunk map of {found.size} bytes; the blob has {self.size}")
            self._distrust(self._blamed(), self.digest, failure.reason)
        return failure

    def _prove_later(self, index: int) -> None:
        if self._map_lacking:
            self._begin_proving()
        if self._map is not None and self.hold.state(index) == ChunkState.UNPROVEN:
            self._spawn(self._prove(index, None))

    async def _prove(self, index: int, summed: bytes | None) -> None:
        """A chunk that was written before its map was here."""
        chunk_map = self._map
        if chunk_map is None:
            return
        if summed is None:
            hasher = Digest("sha256", "").hasher()
            await self.hold.feed(chunk_span(index, self.size), hasher.update)
            summed = hasher.digest()
        if self._map is not None and self._fits(index, summed):
            self.hold.mark(index, ChunkState.PROVEN)
        else:
            self._throw_away(index)
            self._distrust(self._blamed(), self.digest, f"chunk {index} does not fit the chunk map")
        self._wake_now()

    # -- the end ----------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        if self._finishing is None:
            self._finishing = self._loop.create_task(self._prove_whole())

    async def _prove_whole(self) -> None:
        try:
            while not self.hold.committed and not self.hold.discarded:
                async with self._store.lock(self.digest, "commit") as mine:
                    if mine and not self.hold.committed:
                        await self._commit()
                if not mine:
                    await asyncio.sleep(self._policy.poll)
                if not self._complete():
                    return
        except Failure as failure:
            self._fail(failure)
        finally:
            self._finishing = None
            self._wake_now()

    async def _commit(self) -> None:
        while self.prover.offset < self.size:
            before = self.prover.offset
            await self.prover.catch_up()
            if self.prover.offset == before:
                if not self._complete():
                    return
                await asyncio.sleep(self._policy.poll)
        if self.prover.fits():
            await self.hold.commit(self._map)
            return
        self.lied = True
        for source in self._sources:
            self._distrust(source, self.digest, "the bytes do not have the digest asked for")
        await self.hold.discard()

    def _blamed(self) -> str:
        return ", ".join(sorted(filter(None, self._sources)))

    # -- waking -----------------------------------------------------------------------------------------------

    def wake(self, size: int) -> None:
        """Bytes came: tell the followers, at once or together with the next few."""
        self._unwoken += size
        if self._unwoken >= MIB or self.fetched <= MIB:
            self._wake_now()
        elif self._pending_wake is None:
            self._pending_wake = self._loop.call_later(self._policy.wake, self._wake_now)

    def _wake_now(self) -> None:
        self._unwoken = 0
        if self._pending_wake is not None:
            self._pending_wake.cancel()
            self._pending_wake = None
        for reader in self._readers:
            if reader.waiting is not None and not reader.waiting.done():
                reader.waiting.set_result(None)
        self._moved.set()

    def _watch_others(self) -> None:
        """Another process brings the chunk: look at the shared states until it is here or its claim is free."""
        if self._polling is None:
            self._polling = self._loop.create_task(self._poll())

    async def _poll(self) -> None:
        for _ in range(10):
            await asyncio.sleep(self._policy.poll)
            if self.hold.committed or self.hold.discarded:
                break
            for reader in self._readers:
                waiting = reader.waiting
                if waiting is None or waiting.done():
                    continue
                if self.hold.state(reader.position // CHUNK) != ChunkState.MISSING:
                    waiting.set_result(None)
        self._polling = None
        self._wake_now()  # all ask again: the process that held a claim may have died

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)  # type: ignore[arg-type]  # coroutines are Any here
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop every transfer; what was written stays held."""
        tasks = [*self._transfers.values(), *self._tasks]
        tasks += [t for t in (self._map_task, self._finishing, self._polling) if t is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        if self._pending_wake is not None:
            self._pending_wake.cancel()
        if self.unstorable is None and self._readers:
            self._fail(SourceUnavailable("the server is closing"))
            self._wake_now()


def _without(chunks: range, others: Iterable[range]) -> list[range]:
    """`chunks` less those of the others."""
    left = [chunks]
    for other in others:
        parts = [
            part
            for each in left
            for part in (
                range(each.start, min(each.stop, other.start)),
                range(max(each.start, other.stop), each.stop),
            )
        ]
        left = [part for part in parts if part]
    return left
