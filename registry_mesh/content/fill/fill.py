"""A fill: a blob on its way in, with readers following.

Owned by the server, not by a request. Readers say where they stand and how far they want to go; transfers
(`content.fill.transfers`) bring missing chunks in; every chunk is brought by one transfer, here or in another process
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
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB, count
from registry_mesh.chunks.readahead import ReadaheadPolicy
from registry_mesh.chunks.steal import StealPolicy
from registry_mesh.content.fill.chunk_proof import LOOK, ChunkProof
from registry_mesh.content.fill.digest_proof import Prover
from registry_mesh.content.fill.first_use import FirstUse
from registry_mesh.content.fill.readers import Followers, Reader
from registry_mesh.content.fill.transfer import Transfer
from registry_mesh.content.fill.transfers import Transfers
from registry_mesh.oci.digest import Digest, Hasher
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource, FileSlice, Reading
from registry_mesh.ports.failures import Failure, SourceLied, SourceUnavailable, StoreBroken, bare
from registry_mesh.ports.partial import CacheStore, ChunkState, Hold

BEHIND: Final = 4 * MIB // CHUNK
"""Written chunks that wait to be hashed before a thread is sent after them."""

MOMENT: Final = 0.001
"""Seconds for which a file that was looked at counts as still the same."""

READY: Final = 4 * MIB
"""Of a blob that is not complete a longer span is followed: it takes its time anyway, and is not looked at at once."""

SLICE: Final = 32 * MIB
"""A reader is handed at most this much at a time, so that it is seen to move."""


@dataclass(frozen=True, slots=True)
class FillPolicy:
    """`window`: bytes a transfer runs ahead of the reader that wants it. `complete_after`: the held share from
    which the rest is fetched unasked (0: always; above 1: never). `wake`: seconds between wake-ups of followers.
    `poll`: seconds between two looks at what another process brings."""

    window: int = 16 * MIB
    complete_after: float = 0.9
    steal: StealPolicy = field(default_factory=StealPolicy)
    readahead: ReadaheadPolicy = field(default_factory=ReadaheadPolicy)
    wake: float = 0.004
    poll: float = 0.004


Distrust = Callable[[str, Digest, str], None]
"""Told (source, digest, reason) when a source's bytes were wrong."""


class Fill:
    """See the module. Made by `content.fill.fills`, which also closes it."""

    def __init__(
        self, store: CacheStore, hold: Hold, source: BlobSource, policy: FillPolicy, distrust: Distrust
    ) -> None:
        self.hold = hold
        self.digest = hold.info.digest
        self.size = hold.info.size
        self._chunks = count(self.size)
        self.source = source
        self.followers = Followers(policy.wake)
        self.prover = Prover(hold)
        self.proof = ChunkProof(self)
        self.transfers = Transfers(self, policy)
        self.closed = False
        self._kept = 0
        self.followed = False
        self.fetched = 0
        self.unstorable: Failure | None = None
        self.lied = False
        self.last_failure: Failure | None = None
        self._store = store
        self._policy = policy
        self._distrust = distrust
        self._sources: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._finishing: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None
        states = hold.states()
        self._gives_until = 0.0
        self._first_use = FirstUse(hold, states, self._miss)
        self._first_missing = 0
        self._held = len(states) - states.count(0)  # a lower bound: other processes write too
        self._epoch = 0
        self._failure: Exception | None = None
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return (
            f"<Fill {str(self.digest)[:19]} {self.size} bytes, {len(self.followers)} readers, "
            f"{len(self.transfers)} transfers, fetched {self.fetched}, wasted {self.transfers.wasted}>"
        )

    # -- readers ---------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        busy = len(self.followers) or len(self.transfers) or self._tasks or self._finishing
        return not self._kept and not busy

    @property
    def _unfit(self) -> bool:
        """What came is not the blob: nothing of it leaves any more."""
        return self.lied or self.hold.discarded

    @property
    def hopeless(self) -> bool:
        """Whether it has failed, or cannot be stored."""
        return self._failure is not None or self.unstorable is not None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Not idle: whoever is inside may follow the fill, and look at what it holds, at any moment."""
        self._kept += 1
        try:
            yield
        finally:
            self._kept -= 1

    def adopt(self, reading: Reading, stack: AsyncExitStack) -> bool:
        """Take over a stream that was opened to learn the size; see `Transfers.adopt`."""
        return self.transfers.adopt(reading, stack)

    def holds(self, span: Span) -> bool:
        """Whether all of `span` could be given now."""
        return self._released(span.start, span.stop) >= span.stop

    @property
    def grows(self) -> bool:
        """See `Reading.grows`."""
        return not (self.closed or self._unfit or self.unstorable or self.hold.committed)

    def ready(self, span: Span) -> FileSlice | None:
        """See `Reading.ready`. Counts as reading it, for what is fetched ahead."""
        now = self._loop.time()
        if now >= self._gives_until and not self._gives(now):
            return None
        first, stop = span.start // CHUNK, count(span.stop)
        if stop - first > READY // CHUNK + 1 and not self.hold.committed:
            return None
        need = ChunkState.PROVEN if self.proof.proving else ChunkState.UNPROVEN
        if not self._first_use.is_over(first, stop) or self.hold.run(first, stop, need) < stop:
            return None
        self.transfers.read(span, held=True)
        return self.hold.slice(span)

    def _gives(self, now: float) -> bool:
        """Whether what it holds may leave; then so for a moment, however much of it does."""
        if self.unstorable is not None or self._unfit or not self.hold.untouched:
            return False
        if self.complete() and not self.hold.committed:
            return False
        self._gives_until = now + MOMENT
        return True

    async def follow(self, span: Span) -> AsyncIterator[FileSlice]:
        """The span's bytes as they come. Raises what keeps them from coming; then what was given is a prefix."""
        self.followed = True
        reader = self.followers.enter(span, self._epoch)
        self.transfers.read(span)
        try:
            while reader.position < reader.stop:
                stop = await self._proven_until(reader)
                if stop > reader.position:
                    part = self.hold.slice(Span(reader.position, stop))
                    yield FileSlice(part.fd, part.start, part.stop, self._unreadable)
                    self.followers.advance(reader, stop)
                    continue
                self._raise_if_hopeless(reader)
                woken = self.followers.expect(reader)
                self._demand(reader)
                await woken
        finally:
            self.followers.leave(reader)

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
        if self.unstorable is not None:
            raise bare(self.unstorable)
        if self._unfit:
            raise SourceLied("the bytes that came do not have the digest asked for", source=self._blamed())
        if self._failure is not None and reader.epoch < self._epoch:
            raise bare(self._failure)

    async def _proven_until(self, reader: Reader) -> int:
        """How far the reader may go now."""
        stop = self._released(reader.position, min(reader.stop, reader.position + SLICE))
        return await self._first_use.until(reader.position, stop)

    def _miss(self, index: int) -> None:
        """A chunk that was there is not any more."""
        self._first_missing = min(self._first_missing, index)

    def _released(self, position: int, stop: int) -> int:
        if self._unfit:
            return position
        if self.hold.committed:
            return stop
        if self.complete():
            return position
        need = ChunkState.PROVEN if self.proof.proving else ChunkState.UNPROVEN
        upto = self.hold.run(position // CHUNK, count(stop), need)
        return max(position, min(stop, upto * CHUNK))

    def _unreadable(self) -> None:
        """A reader found that what is held cannot be read: who comes next goes past the store."""
        self.unstorable = StoreBroken("what is held cannot be read")
        self.followers.wake_now()

    def _demand(self, reader: Reader) -> None:
        """Have done what the reader waits for."""
        index = reader.position // CHUNK
        if self.hold.committed:
            self.followers.wake_now()
        elif self.complete():
            self._finish()
        elif index in self.proof.early:
            pass  # the map is on its way
        elif self.hold.state(index) != ChunkState.MISSING:
            self.proof.prove_later(index)
            if self._released(reader.position, reader.position + 1) > reader.position:
                reader.wake()  # another process has marked it since we looked: nobody else tells
        elif not self.transfers.bring(reader):
            self.hold.want(index)
            self._watch_others()

    # -- what transfers and proofs tell ------------------------------------------------------------------------

    def stumbled(self, failure: Failure) -> None:
        """A stream broke, or was wrong; the transfer goes on elsewhere if it can."""
        self.last_failure = bare(failure)
        if isinstance(failure, SourceLied):
            self._distrust(failure.source, self.digest, failure.reason)

    def blame(self, reason: str) -> None:
        """Something of what came was wrong, and nobody knows whose it was."""
        self._distrust(self._blamed(), self.digest, reason)

    def written(self, index: int, summed: bytes | None, transfer: Transfer) -> None:
        """Chunk `index` is whole. With a map it is proven or thrown away; `SourceLied` ends the stream."""
        try:
            self.proof.take(index, summed, transfer.source)
        except SourceLied:
            transfer.position = index * CHUNK
            raise
        self._held += 1
        self._first_use.came(index)
        self._gives_until = 0.0  # it may be complete, and nothing is to leave before it is proven

    def stored(self, size: int, source: str) -> None:
        """A batch was written, and its whole chunks were told of."""
        self.fetched += size
        self._sources.add(source)
        if self.prover.behind(BEHIND):
            self.spawn(self.prover.catch_up())
        self.followers.wake(size)

    def throw_away(self, index: int) -> None:
        """Wrong bytes: missing again, and out of the hash."""
        self.hold.mark(index, ChunkState.MISSING)
        self._miss(index)
        if self.prover.offset > index * CHUNK:
            self.prover = Prover(self.hold)

    def fail(self, failure: Exception) -> None:
        """Who reads now is told of it; who comes later has it tried again."""
        self._failure = bare(failure)
        self._epoch += 1

    def transfer_ended(self) -> None:
        """Finish what is complete; of what nearly is, fetch the rest, so that the whole is proven and served at full
        speed."""
        if self.hold.committed:
            return
        if self.complete():
            self._finish()
            return
        others = self.hopeless or len(self.transfers) > 0 or self._first_missing in self.proof.early
        if self.nearly_whole() and count(self.size) > 1 and not others:
            self.transfers.start(range(self._first_missing, count(self.size)))

    # -- the end ----------------------------------------------------------------------------------------------

    def complete(self) -> bool:
        """Every chunk is written."""
        chunks = self._chunks
        if self._first_missing < chunks and not self.hold.state(self._first_missing):
            return False
        while self._first_missing < chunks:
            stop = min(chunks, self._first_missing + LOOK)
            self._first_missing = self.hold.run(self._first_missing, stop, ChunkState.UNPROVEN)
            if self._first_missing < stop:
                return False
        return True

    def nearly_whole(self) -> bool:
        """So much is held that the rest is fetched unasked."""
        share = self._policy.complete_after
        return share <= 1 and self._held >= share * count(self.size)

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
                if not self.complete():
                    return
        except Failure as failure:
            self.fail(failure)
        finally:
            self._finishing = None
            self.followers.wake_now()

    async def _commit(self) -> None:
        while self.prover.offset < self.size:
            before = self.prover.offset
            await self.prover.catch_up()
            if self.prover.offset == before:
                if not self.complete():
                    return
                await asyncio.sleep(self._policy.poll)
        if self.prover.fits():
            await self.hold.commit(self.proof.map)
            return
        self.lied = True
        for source in self._sources:
            self._distrust(source, self.digest, "the bytes do not have the digest asked for")
        await self.hold.discard()

    def _blamed(self) -> str:
        return ", ".join(sorted(filter(None, self._sources)))

    # -- tasks ------------------------------------------------------------------------------------------------

    def _watch_others(self) -> None:
        """Another process brings the chunk: look at the shared states until it is here or its claim is free."""
        if self._polling is None:
            self._polling = self._loop.create_task(self._poll())

    async def _poll(self) -> None:
        for _ in range(10):
            await asyncio.sleep(self._policy.poll)
            if self.hold.committed or self.hold.discarded:
                break
            for reader in self.followers:
                if self.hold.state(reader.position // CHUNK) != ChunkState.MISSING:
                    reader.wake()
        self._polling = None
        self.followers.wake_now()  # all ask again: the process that held a claim may have died

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have `work` done; it ends with the fill."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop every transfer; what was written stays held."""
        self.closed = True
        tasks = [*self.transfers.tasks(), *self._tasks]
        tasks += [t for t in (self.proof.asking, self._finishing, self._polling) if t is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await self._first_use.close()
        self.followers.close()
        if self.unstorable is None and len(self.followers):
            self.fail(SourceUnavailable("the server is closing"))
            self.followers.wake_now()
        for failure in filter(None, (self.unstorable, self.last_failure, self._failure)):
            bare(failure)  # of who raised it last
