"""The streams of one fill: which chunks are asked for, by whom, and when a running stream is let go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from time import monotonic
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, count, without
from registry_mesh.chunks.steal import SKIP
from registry_mesh.content.fill.ahead import ChunksAhead
from registry_mesh.content.fill.chunk_proof import ChunkProof
from registry_mesh.content.fill.demand import TransferDemand
from registry_mesh.content.fill.policy import LOOK
from registry_mesh.content.fill.readers import Reader
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.stripes import TransferStripes
from registry_mesh.content.fill.transfer import Transfer, Written
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Reading
from registry_mesh.ports.failures import Failure, SourceDiffers, SourceUnavailable, StoreBroken, StoreFull
from registry_mesh.ports.hops import Asks, asked
from registry_mesh.ports.partial import ChunkState, Claims
from registry_mesh.ports.urgency import urgency

_log: Final = logging.getLogger(__name__)


class Transfers:
    """Of one fill. Every chunk is brought by one transfer, here or in another process (`Claims.claim`).

    `written` is told of the chunks that a transfer has written; `ended`, that one has come to its end, and through
    which registry it went.
    """

    def __init__(
        self,
        state: FillState,
        claims: Claims,
        proof: ChunkProof,
        written: Written,
        ended: Callable[[Via], None],
    ) -> None:
        self._state = state
        self._claims = claims
        self._policy = state.policy
        self._proof = proof
        self._written = written
        self._ended = ended
        self._running: dict[Transfer, asyncio.Task[None]] = {}
        self._claimed: dict[Transfer, range] = {}
        self._ahead = ChunksAhead(state)
        self._stripes = TransferStripes(state, self._running.keys(), self._is_here_or_coming, self.start)
        self._demand = TransferDemand(state, claims, self._stripes)
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
        wanted = self._stripes.limit(range(index, min(self._state.chunks, count(reader.stop))))
        transfer = self.covering(index)
        if transfer is None:
            return self.start(wanted, reader.via)
        if not urgency().background:
            transfer.urgency.hurry()
        if transfer.via.registry != reader.via.registry and self._is_silent(transfer, reader):
            self._take_over(transfer, wanted, reader.via)
        elif self._worth_stealing(transfer, index, reader):
            self._steal(transfer, wanted, reader.via)
        else:
            self._state.readers.moved.set()  # it may wait for others, who have enough
        return True

    def start(self, wanted: range, via: Via, *, unasked: bool = False) -> bool:
        """Bring in the leading run of `wanted` that is missing and nobody brings; `unasked`: whoever reads it. False
        where another process brings the first."""
        if len(self._running) >= self._policy.streams:
            self._dismiss_one()
            return True  # a transfer that ends wakes the readers, who ask again
        others = [transfer.next_after(wanted.start) for transfer in self._running]
        early = [index for index in self._proof.early if index > wanted.start]
        claimed = self._claims.claim(range(wanted.start, min([wanted.stop, *others, *early])))
        if claimed:
            if unasked:
                self._ahead.fetches(claimed)
            self._launch(self._made(via, claimed, unasked=unasked))
        return bool(claimed)

    def adopt(self, reading: Reading, stack: AsyncExitStack, via: Via) -> bool:
        """Take over a stream that was opened to learn the size. False, and the stream is the caller's, where
        its first chunk is on its way already."""
        first = reading.span.start // CHUNK
        covered = reading.info.size != self._state.size or self.covering(first) is not None
        others = [transfer.next_after(first) for transfer in self._running]
        chunks = range(first, min([count(reading.span.stop), *others]))
        if covered or reading.span.start % CHUNK or not (claimed := self._claims.claim(chunks)):
            return False
        if len(claimed) <= LOOK:  # a range: it may be here before who asked for it begins to read
            self._ahead.fetches(claimed)
        self._launch(self._made(via, claimed), (stack, reading))
        return True

    # -- in the place of another ---------------------------------------------------------------------------------

    def _is_silent(self, transfer: Transfer, reader: Reader) -> bool:
        """Whether a transfer through another registry stands still; else the reader looks again when it may."""
        left = transfer.moved_at + self._policy.silence - monotonic()
        if left > 0:
            asyncio.get_running_loop().call_later(left, reader.wake)
        return left <= 0 and len(self._running) < self._policy.streams

    def _take_over(self, transfer: Transfer, wanted: range, via: Via) -> None:
        """Bring what a transfer that stands still was to bring, and end it. What it has claimed stays ours."""
        stop = min(
            [wanted.stop, transfer.chunks.stop, *(h.start for h in transfer.holes if h.start > wanted.start)]
        )
        transfer.chunks = range(transfer.chunks.start, min(wanted.start, transfer.chunks.stop))
        self._launch(self._made(via, range(wanted.start, stop)))
        self._running[transfer].cancel()

    def _worth_stealing(self, transfer: Transfer, index: int, reader: Reader) -> bool:
        ahead = index * CHUNK - transfer.received
        wanted = count(min(reader.stop, self._state.size)) * CHUNK - index * CHUNK
        return len(self._running) < self._policy.streams and self._policy.steal.steal(
            ahead, transfer.rate, wanted, self._state.size, self.wasted
        )

    def _steal(self, transfer: Transfer, wanted: range, via: Via) -> None:
        stop = min(wanted.stop, transfer.chunks.stop, wanted.start + SKIP // CHUNK)
        for hole in transfer.holes:
            if hole.start > wanted.start:
                stop = min(stop, hole.start)
        chunks = range(wanted.start, stop)
        transfer.carve(chunks)
        self.wasted += len(chunks) * CHUNK
        self._launch(self._made(via, chunks))

    # -- ahead of a sequence of ranges --------------------------------------------------------------------------

    def read(self, span: Span, via: Via, *, held: bool = False) -> None:
        """A reader asks for `span`, which may be known to be held: have what a sequence of ranges comes to next. Who
        reads again what is held has nothing fetched, and another server of the site reads ahead by itself."""
        ahead = self._ahead.after(span, held=held)
        if ahead and asked() is Asks.ANYTHING:
            self._fetch_ahead(ahead, via)

    def _fetch_ahead(self, chunks: range, via: Via) -> None:
        """Not before half of it is missing, so that few requests do."""
        if self._state.troubles.told or not self._state.phase.fetches:
            return
        held = chunks.start
        while held < chunks.stop and self._is_here_or_coming(held):
            held += 1
        if held - chunks.start <= len(chunks) // 2 and held < chunks.stop:
            self.start(range(held, chunks.stop), via, unasked=True)

    def _is_here_or_coming(self, index: int) -> bool:
        return (
            self._state.marks.state(index) != ChunkState.MISSING
            or index in self._proof.early
            or self.covering(index) is not None
        )

    # -- the life of a stream ------------------------------------------------------------------------------------

    def _made(self, via: Via, chunks: range, *, unasked: bool = False) -> Transfer:
        return Transfer(self._state, via, chunks, self._demand.wanted, self._written, unasked=unasked)

    def _launch(self, transfer: Transfer, opened: tuple[AsyncExitStack, Reading] | None = None) -> None:
        first = self._state.fetched == 0 and not self._running
        self._proof.begin(transfer.via, transfer.chunks, first=first)
        self._claimed[transfer] = transfer.chunks
        task = asyncio.get_running_loop().create_task(self._run(transfer, opened))
        self._running[transfer] = task
        self._stripes.begin(transfer.via)

    async def _run(self, transfer: Transfer, opened: tuple[AsyncExitStack, Reading] | None) -> None:
        try:
            await self._end_of(transfer, opened)
            # Chunks that came before the map are ours, however the stream ended, until it is known what they are:
            # what is unclaimed and unmarked is given back to the disk.
            await self._proof.settled()
        finally:
            self._running.pop(transfer, None)
            for chunks in without(self._claimed.pop(transfer), self._claimed.values()):
                self._claims.unclaim(chunks)
            self._stripes.fill()
            self._state.readers.wake_now()
        self._ended(transfer.via)

    async def _end_of(self, transfer: Transfer, opened: tuple[AsyncExitStack, Reading] | None) -> None:
        state = self._state
        try:
            await transfer.run(opened)
        except (StoreFull, StoreBroken) as failure:
            state.cannot_store(failure)
        except SourceDiffers as failure:
            await self._drop(transfer, failure)
        except (Failure, Refusal) as failure:
            if not transfer.unasked:  # else nobody waits for it; who comes to want it asks again
                state.troubles.give_up(failure, transfer.via)
        except Exception as fault:
            _log.exception("%s: a transfer failed", state.digest)
            state.troubles.give_up(SourceUnavailable(f"{fault!r}", source=transfer.source), transfer.via)
        state.readers.wake_now()

    async def _drop(self, transfer: Transfer, failure: SourceDiffers) -> None:
        """Nobody whom it could ask says that the blob is so large: what is held of it is of no use."""
        self._state.differs(failure.source, transfer.other_size, transfer.via)
        try:
            await self._state.outcome.discard()
        except Failure as broken:
            self._state.cannot_store(broken)

    def _dismiss_one(self) -> None:
        """Of those that wait for slow readers the one that has waited for the longest: somebody needs its place."""
        waiting = [transfer for transfer in self._running if transfer.waits_since is not None]
        if waiting:
            min(waiting, key=lambda transfer: transfer.waits_since or 0.0).dismissed = True
            self._state.readers.moved.set()

    def close(self) -> None:
        """Begin no more of them by itself."""
        self._stripes.close()

    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks of the transfers under way."""
        return list(self._running.values())
