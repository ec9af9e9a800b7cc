"""A fill: a blob on its way in, with readers following.

Owned by the server, not by a request. Readers say where they stand and how far they want to go; transfers
(`content.fill.transfers`) bring missing chunks in; every chunk is brought by one transfer, here or in another process
(`Claims.claim`). A reader waits only for its own next bytes. When a byte may leave is said in `content.fill.phases`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB, count
from registry_mesh.chunks.sums import ChunkSum
from registry_mesh.content.fill.chunk_proof import ChunkProof
from registry_mesh.content.fill.comparison import ChunkComparison
from registry_mesh.content.fill.completion import FillCompletion
from registry_mesh.content.fill.elsewhere import ClaimsElsewhere
from registry_mesh.content.fill.lanes import LaneShares
from registry_mesh.content.fill.open_readings import OpenReadings
from registry_mesh.content.fill.phases import LeavingChunks, Phase
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.readers import Reader
from registry_mesh.content.fill.retries import RetryBudget
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.transfers import Transfers
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Hasher
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import FileSlice
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import Failure, SourceUnavailable
from registry_mesh.ports.hops import Asks, asked
from registry_mesh.ports.partial import Bytes, ChunkState, Hold, Looks
from registry_mesh.ports.place import Place

MOMENT: Final = 0.001
"""Seconds for which a file that was looked at counts as still the same."""

READY: Final = 4 * MIB
"""Of a blob that is not complete a longer span is followed: it takes its time anyway, and is not looked at at once."""

SLICE: Final = 32 * MIB
"""A reader is handed at most this much at a time, so that it is seen to move."""


class Fill:
    """See the module. Made by `content.fill.fills`, which also closes it."""

    def __init__(
        self,
        store: CacheStore,
        hold: Hold,
        policy: FillPolicy,
        told_by: str = "",
        budget: RetryBudget | None = None,
        shares: LaneShares | None = None,
    ) -> None:
        self.state = FillState(hold, policy, told_by, budget, shares)
        self._data: Bytes = hold
        self._looks: Looks = hold
        self.digest = hold.info.digest
        self.size = hold.info.size
        self.given_by: set[Place] = set()
        """The repositories whose own source began to give it."""
        self.noted_for: set[Place] = set()
        """Those that are noted as where it comes from."""
        self._proof = ChunkProof(self.state)
        self.comparison = ChunkComparison(self.state, self._proof)
        self.transfers = Transfers(self.state, hold, self._proof, self._written, self._transfer_ended)
        self._completion = FillCompletion(self.state, self._proof, store)
        self._elsewhere = ClaimsElsewhere(self.state, hold)
        self._readers = self.state.readers
        self.open_readings = OpenReadings(hold, lambda: len(self.transfers) or self._tasks())
        self._gives_until = 0.0
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        state, transfers = self.state, self.transfers
        return (
            f"<Fill {str(self.digest)[:19]} {state.phase.name}, {self.size} bytes, {len(self._readers)} readers, "
            f"{len(transfers)} transfers, fetched {state.fetched}, wasted {transfers.wasted}>"
        )

    # -- readers ---------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nobody reads it and nothing runs."""
        busy = len(self._readers) or len(self.transfers) or self.state.tasks
        return not len(self.open_readings) and not busy

    def _tasks(self) -> list[asyncio.Task[None]]:
        """What runs, but for the transfers."""
        return [*self.state.tasks, *self._proof.tasks(), *self._elsewhere.tasks()]

    @property
    def proves(self) -> bool:
        """Whether what leaves now is proven, by a chunk map or by the digest of the whole."""
        return self.state.map_phase.proves or self.state.phase is Phase.COMMITTED

    def withholds(self, span: Span) -> bool:
        """Whether of `span` nothing is to leave that is not proven, whatever the policy: parents gave chunk maps that
        cannot both be right, or, for a part of the blob, gave none though they have maps."""
        return self.state.disputed or (self.state.parts_withheld and len(span) < self.size)

    def held(self, span: Span) -> Span:
        """The beginning of `span` that could be given now."""
        return Span(span.start, self.state.released(span.start, span.stop))

    @property
    def grows(self) -> bool:
        """See `Reading.grows`."""
        return self.state.phase.joined

    def ready(self, span: Span, via: Via) -> FileSlice | None:
        """See `Reading.ready`. Counts as reading it, for what is fetched ahead."""
        now = self._loop.time()
        if now >= self._gives_until and not self._gives(now):
            return None
        first, stop = span.start // CHUNK, count(span.stop)
        if stop - first > READY // CHUNK + 1 and not self.state.outcome.committed:
            return None
        need = self.state.map_phase.need
        if not self.state.first_use.is_over(first, stop) or self.state.marks.run(first, stop, need) < stop:
            return None
        if len(span) < self.size and not self.state.compared.over(first, stop):
            return None
        self.transfers.read(span, via, held=True)
        return self._data.slice(span)

    def _gives(self, now: float) -> bool:
        """Whether what it holds may leave; then so for a moment, however much of it does."""
        leaves = self.state.phase.leaves
        if leaves not in (LeavingChunks.CHUNKS, LeavingChunks.ALL) or not self._looks.untouched:
            return False
        self._gives_until = now + MOMENT
        return True

    async def believed(self, via: Via) -> bool:
        """Whether a small blob is what was asked for: until it is proven its size is one source's word. What kept it
        from coming through `via` is raised. True after `FillPolicy.believe` seconds in any case."""
        state, before = self.state, self.state.troubles.epoch
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(state.policy.believe):
                while state.chunks == 1 and state.phase.joined and state.troubles.epoch == before:
                    await self._readers.news()
        lied = state.phase is Phase.LIED
        if not lied and (trouble := state.trouble(via.registry, before)) is not None:
            raise trouble
        return not lied

    async def follow(self, span: Span, via: Via) -> AsyncIterator[FileSlice]:
        """The span's bytes as they come. Raises what keeps them from coming; then what was given is a prefix."""
        reader = self._readers.enter(via, span, self.state.troubles.epoch)
        self.transfers.read(span, via)
        try:
            while reader.position < reader.stop:
                stop = await self._proven_until(reader)
                if stop > reader.position:
                    part = self._data.slice(Span(reader.position, stop))
                    yield FileSlice(part.fd, part.start, part.stop, self.state.unreadable)
                    self._readers.advance(reader, stop)
                    continue
                if (trouble := self.state.trouble(via.registry, reader.epoch)) is not None:
                    raise trouble
                woken = self._readers.expect(reader)
                self._demand(reader)
                await woken
        finally:
            self._readers.leave(reader)

    async def hashed(self, stop: int) -> tuple[Hasher, int]:
        """A hasher for a reader that goes on without the store from `stop` on, and the offset that it has come to: as
        far as whole chunks are held."""
        hasher = self.digest.hasher()
        upto = self.state.marks.run(0, stop // CHUNK, ChunkState.UNPROVEN) * CHUNK
        try:
            await self._data.feed(Span(0, upto), hasher.update)
        except Failure:
            return self.digest.hasher(), 0
        return hasher, upto

    async def _proven_until(self, reader: Reader) -> int:
        """How far the reader may go now."""
        stop = self.state.released(reader.position, min(reader.stop, reader.position + SLICE))
        stop = await self.state.first_use.until(reader.position, stop)
        return await self.comparison.until(reader, stop)

    def _demand(self, reader: Reader) -> None:
        """Have done what the reader waits for; `SourceUnavailable` where nothing is done any more."""
        index, phase = reader.position // CHUNK, self.state.phase
        if phase is Phase.CLOSED:  # a transfer that began now would outlive the hold
            raise SourceUnavailable("the server is closing")
        if phase is Phase.COMMITTED:
            self._readers.wake_now()
        elif phase is Phase.WRITTEN:
            self._completion.begin()
        elif index in self._proof.early:
            pass  # the map is on its way
        elif self.state.marks.state(index) != ChunkState.MISSING:
            self._proof.prove_later(index, reader.via)
            if self.state.released(reader.position, reader.position + 1) > reader.position:
                reader.wake()  # another process has marked it since we looked: nobody else tells
        elif not self.transfers.bring(reader):
            self._elsewhere.want(index)

    def _written(self, index: int, sums: Sequence[ChunkSum | None], source: str) -> int:
        """A transfer has written chunks from `index` on; see `Transfer`."""
        taken = self._proof.take(index, sums, source)
        self.state.came(index, taken)
        self._gives_until = 0.0  # it may be complete, and nothing is to leave before it is proven
        return taken

    def _transfer_ended(self, via: Via) -> None:
        """Finish what is complete; of what nearly is, fetch the rest, so that the whole is proven and served at full
        speed. Not for another server of the site: the rest may be its own to bring."""
        state = self.state
        rests = state.phase.fetches and not state.troubles.told and not len(self.transfers)
        if state.hold_phase is Phase.WRITTEN:
            self._completion.begin()
        elif rests and asked() is Asks.ANYTHING:
            gap = state.gap
            if state.nearly_whole and len(gap) and state.chunks > 1 and gap.start not in self._proof.early:
                self.transfers.start(gap, next((reader.via for reader in self._readers), via))

    # -- the end ----------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Stop every transfer; what was written stays held."""
        state = self.state
        state.close()
        self.transfers.close()
        tasks = [*self.transfers.tasks(), *self._tasks()]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await self.comparison.close()
        await state.first_use.close()
        self._readers.wake_now()
        state.strip()
