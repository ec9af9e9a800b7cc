"""The streams of one fill: which chunks are asked for, by whom, and when a running stream is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

from registry_mesh.chunks.chunk_map import CHUNK, count
from registry_mesh.chunks.readahead import Readahead
from registry_mesh.chunks.steal import SKIP
from registry_mesh.content.fill.chunk_proof import LOOK
from registry_mesh.content.fill.readers import Reader
from registry_mesh.content.fill.transfer import Transfer
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Reading
from registry_mesh.ports.failures import Failure, StoreBroken, StoreFull, bare
from registry_mesh.ports.partial import ChunkState

if TYPE_CHECKING:
    from registry_mesh.content.fill.fill import Fill, FillPolicy

ELSEWHERE: Final = 0.02
"""Seconds between two looks, of a transfer that waits for slow readers, at whether another process wants more."""

PATIENCE: Final = 60.0
"""Seconds for which a transfer waits for slow readers. Then it ends, and its connection is free: what is on its way
comes a second time, some MB at most, should they go on."""

MOST: Final = 64
"""Streams for one blob at a time."""


class Transfers:
    """Of one fill. Every chunk is brought by one transfer, here or in another process (`Hold.claim`)."""

    def __init__(self, fill: Fill, policy: FillPolicy) -> None:
        self._fill = fill
        self._policy = policy
        self._running: dict[Transfer, asyncio.Task[None]] = {}
        self._claims: dict[Transfer, range] = {}
        self._readahead = Readahead(policy.readahead)
        self._unread: set[int] = set()  # chunks that were fetched ahead of their readers
        self.wasted = 0
        """Bytes that were fetched apart and may come a second time."""

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Transfer]:
        return iter(self._running)

    def covering(self, index: int) -> Transfer | None:
        """The one that is going to fill that chunk."""
        return next((transfer for transfer in self._running if transfer.covers(index)), None)

    # -- what is asked for -------------------------------------------------------------------------------------

    def bring(self, reader: Reader) -> bool:
        """Have the reader's next chunk, which is missing, brought. False where another process brings it."""
        index = reader.position // CHUNK
        wanted = range(index, min(count(self._fill.size), count(reader.stop)))
        transfer = self.covering(index)
        if transfer is None:
            return self.start(wanted)
        if self._worth_stealing(transfer, index, reader):
            self._steal(transfer, wanted)
        else:
            self._fill.followers.moved.set()  # it may wait for others, who have enough
        return True

    def start(self, wanted: range, *, unasked: bool = False) -> bool:
        """Bring in the leading run of `wanted` that is missing and nobody brings; `unasked`: whoever reads it. False
        where another process brings the first."""
        if len(self._running) >= MOST:
            self._dismiss_one()
            return True  # a transfer that ends wakes the readers, who ask again
        others = [transfer.next_after(wanted.start) for transfer in self._running]
        early = [index for index in self._fill.proof.early if index > wanted.start]
        claimed = self._fill.hold.claim(range(wanted.start, min([wanted.stop, *others, *early])))
        if claimed:
            if unasked:
                self._unread.update(claimed)
            self._launch(Transfer(self._fill, claimed, unasked=unasked))
        return bool(claimed)

    def adopt(self, reading: Reading, stack: AsyncExitStack) -> bool:
        """Take over a stream that was opened to learn the size. False, and the stream is the caller's, where
        another process fills its first chunk already."""
        first = reading.span.start // CHUNK
        claimed = self._fill.hold.claim(range(first, count(reading.span.stop)))
        if not claimed or reading.span.start % CHUNK:
            self._fill.hold.unclaim(claimed)
            return False
        if len(claimed) <= LOOK:  # a range: it may be here before who asked for it begins to read
            self._unread.update(claimed)
        self._launch(Transfer(self._fill, claimed), (stack, reading))
        return True

    def _worth_stealing(self, transfer: Transfer, index: int, reader: Reader) -> bool:
        ahead = index * CHUNK - transfer.received
        wanted = count(min(reader.stop, self._fill.size)) * CHUNK - index * CHUNK
        return len(self._running) < MOST and self._policy.steal.steal(
            ahead, transfer.rate, wanted, self._fill.size, self.wasted
        )

    def _steal(self, transfer: Transfer, wanted: range) -> None:
        stop = min(wanted.stop, transfer.chunks.stop, wanted.start + SKIP // CHUNK)
        for hole in transfer.holes:
            if hole.start > wanted.start:
                stop = min(stop, hole.start)
        chunks = range(wanted.start, stop)
        transfer.carve(chunks)
        self.wasted += len(chunks) * CHUNK
        self._launch(Transfer(self._fill, chunks))

    # -- ahead of a sequence of ranges --------------------------------------------------------------------------

    def read(self, span: Span, *, held: bool = False) -> None:
        """A reader asks for `span`, which may be known to be held: have what a sequence of ranges comes to next. Who
        reads again what is held has nothing fetched."""
        ahead = self._readahead.after(span)
        if (self._unread or not held) and self._is_news(range(span.start // CHUNK, count(span.stop))):
            self._fetch_ahead(range(ahead.start // CHUNK, min(count(self._fill.size), ahead.stop // CHUNK)))

    def _is_news(self, chunks: range) -> bool:
        """Whether something of it is missing, or was fetched ahead and is read now for the first time."""
        unread = len(self._unread)
        if unread:
            self._unread.difference_update(chunks)
        missing = self._fill.hold.run(chunks.start, chunks.stop, ChunkState.UNPROVEN) < chunks.stop
        return missing or len(self._unread) < unread

    def _fetch_ahead(self, chunks: range) -> None:
        """Not before half of it is missing, so that few requests do."""
        if self._fill.hopeless:
            return
        held = chunks.start
        while held < chunks.stop and self._is_here_or_coming(held):
            held += 1
        if held - chunks.start <= len(chunks) // 2 and held < chunks.stop and not self._fill.complete():
            self.start(range(held, chunks.stop), unasked=True)

    def _is_here_or_coming(self, index: int) -> bool:
        return (
            self._fill.hold.state(index) != ChunkState.MISSING
            or index in self._fill.proof.early
            or self.covering(index) is not None
        )

    # -- the life of a stream ------------------------------------------------------------------------------------

    def _launch(self, transfer: Transfer, opened: tuple[AsyncExitStack, Reading] | None = None) -> None:
        self._fill.proof.begin(first=self._fill.fetched == 0 and not self._running)
        self._claims[transfer] = transfer.chunks
        task = asyncio.get_running_loop().create_task(self._run(transfer, opened))
        self._running[transfer] = task

    async def _run(self, transfer: Transfer, opened: tuple[AsyncExitStack, Reading] | None) -> None:
        fill = self._fill
        try:
            await self._end_of(transfer, opened)
            # Chunks that came before the map are ours, however the stream ended, until it is known what they are:
            # what is unclaimed and unmarked is given back to the disk.
            while fill.proof.asking is not None:
                await asyncio.wait({fill.proof.asking})
        finally:
            self._running.pop(transfer, None)
            for chunks in _without(self._claims.pop(transfer), self._claims.values()):
                fill.hold.unclaim(chunks)
            fill.followers.wake_now()
        fill.transfer_ended()

    async def _end_of(self, transfer: Transfer, opened: tuple[AsyncExitStack, Reading] | None) -> None:
        fill = self._fill
        try:
            await transfer.run(opened)
        except (StoreFull, StoreBroken) as failure:
            fill.unstorable = bare(failure)
        except (Failure, Refusal) as failure:
            if not transfer.unasked:  # else nobody waits for it; who comes to want it asks again
                fill.fail(fill.last_failure or failure if isinstance(failure, Failure) else failure)
        fill.followers.wake_now()

    async def wanted(self, transfer: Transfer) -> bool:
        """Hold a transfer back while it is a window ahead of every reader; False where nobody wants more of it, or all
        have stood still for too long.

        It never ends inside a chunk: the bytes on their way are kept.
        """
        try:
            return await self._wanted(transfer)
        finally:
            transfer.waits_since = None

    async def _wanted(self, transfer: Transfer) -> bool:
        fill, loop = self._fill, asyncio.get_running_loop()
        while True:
            if fill.proof.lacking and fill.proof.asking is None:
                return False
            if self._policy.complete_after <= 0:
                return True
            room = self._room(transfer)
            if room > 0 or (room == 0 and self._wanted_elsewhere(transfer)):
                return True
            if transfer.waits_since is None:
                transfer.waits_since = loop.time()
            if loop.time() - transfer.waits_since > PATIENCE:
                transfer.dismissed = True
            if room < 0 or transfer.dismissed:
                if not fill.nearly_whole():
                    transfer.end_with_chunk()
                return transfer.received < transfer.end
            fill.followers.moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(ELSEWHERE):
                    await fill.followers.moved.wait()

    def _room(self, transfer: Transfer) -> int:
        if transfer.unasked:
            return 1
        begun = transfer.received - transfer.chunks.start * CHUNK
        if not self._fill.followed and begun < self._policy.window:
            return 1  # who made it begin is about to follow
        return self._fill.followers.room(transfer.received, transfer.end, self._policy.window)

    def _dismiss_one(self) -> None:
        """Of those that wait for slow readers the one that has waited for the longest: somebody needs its place."""
        waiting = [transfer for transfer in self._running if transfer.waits_since is not None]
        if waiting:
            min(waiting, key=lambda transfer: transfer.waits_since or 0.0).dismissed = True
            self._fill.followers.moved.set()

    def _wanted_elsewhere(self, transfer: Transfer) -> bool:
        """Whether readers of another process want more, a window of it at a time."""
        wanted = self._fill.hold.take_want(range(transfer.received // CHUNK, transfer.chunks.stop))
        if wanted is not None:
            transfer.granted = transfer.received + self._policy.window
        return transfer.received < transfer.granted

    def tasks(self) -> list[asyncio.Task[None]]:
        return list(self._running.values())


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
