"""The fills of a process: at most one a digest, kept while anybody needs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.behind import behind_clients
from registry_mesh.content.fill.fill import Fill
from registry_mesh.content.fill.lanes import LaneShares
from registry_mesh.content.fill.phases import Phase
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.retries import RetryBudget
from registry_mesh.content.fill.unkept import UnkeptBlobs
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Reading
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import Failure, SourceLied, SourceThrottled
from registry_mesh.ports.urgency import Urgency, urgency, work_as
from registry_mesh.tasks.flights import Flights

_log: Final = logging.getLogger(__name__)

LINGER: Final = 2.0
"""Seconds a fill that nobody uses is kept: the next range of the same reader is on its way."""

ATTEMPTS: Final = 3
"""Fills, or answers, that are tried where a source lied."""

LOOK_AGAIN: Final = 0.1
"""Seconds at most between two looks at whether another process has begun a fill: many wait for one that hangs."""

LATE: Final = 1 / 16
"""Of the time that was waited, what the next look may come late by: a crowd's first byte waits for that look."""

_SWEEP: Final = 0.1
"""Seconds between two looks; a fill that is committed lingers no longer, as it keeps its blob from eviction."""


class Fills:
    """Begins fills, hands them out, closes them. `now` gives seconds; without it, the loop's are taken."""

    def __init__(
        self,
        store: CacheStore,
        policy: FillPolicy | None = None,
        now: Callable[[], float] | None = None,
        unkept: UnkeptBlobs | None = None,
    ) -> None:
        """`unkept` takes down what the store is too small for."""
        self.unkept = unkept or UnkeptBlobs()
        self._store = store
        self._policy = policy or FillPolicy()
        self._now = now or (lambda: asyncio.get_running_loop().time())
        self._budget = RetryBudget()
        self._shares = LaneShares()
        self._fills: dict[Digest, tuple[Fill, AsyncExitStack]] = {}
        self._beginnings: Flights[tuple[Digest, str], Fill] = Flights()
        self._urgencies: WeakValueDictionary[tuple[Digest, str], Urgency] = WeakValueDictionary()
        """Of the beginnings, as long as they last."""
        self._used: dict[Digest, float] = {}
        self._retired: list[tuple[Fill, AsyncExitStack]] = []
        """Followed to their end by the readers that they have."""
        self._sweeper: asyncio.Task[None] | None = None
        self._notes: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Fills {self.open}>"

    @property
    def open(self) -> list[Fill]:
        """The fills that are not closed; those whose place another has taken come last."""
        return [fill for fill, _ in (*self._fills.values(), *self._retired)]

    def get(self, digest: Digest) -> Fill | None:
        """The fill under way, if a new reader may follow it. One that is committed is the store's to serve: the
        store looks at the bytes again."""
        entry = self._fills.get(digest)
        if entry is None or not entry[0].state.phase.joined:
            return None
        if not entry[0].open_readings.wake():
            self._retired.append(self._fills.pop(digest))
            return None
        self._used[digest] = self._now()
        return entry[0]

    def begins(self, digest: Digest, via: Via) -> bool:
        """Whether a fill is being begun: a request is to join it now, without looking whether the blob is held."""
        return (digest, via.registry) in self._beginnings

    async def join(self, digest: Digest, via: Via, span: Span | None) -> Fill:
        """The fill of `digest`, begun through `via` where there is none. `span` is what its first reader wants.

        `StoreFull`, `StoreBroken` where it cannot be held; whatever `via.source` says where its size is not known
        and cannot be learned.
        """
        fill = self.get(digest)
        if fill is not None:
            return fill
        while fill is None or fill.state.phase is Phase.CLOSED:  # by the time a busy loop comes to wake us
            fill = await self._joined(digest, via, span)
        if via.place is not None and via.place not in fill.noted_for:
            fill.noted_for.add(via.place)  # behind the reader's back, once for a crowd
            note = asyncio.get_running_loop().create_task(self._store.note_place(digest, via.place))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)
        return fill

    async def _joined(self, digest: Digest, via: Via, span: Span | None) -> Fill:
        """The fill that is being begun; at once, where a client is among those who wait for it. What was refused before
        it came, as all that a source allows is kept for clients, is asked for once more for its sake."""
        key = digest, via.registry
        work = self._urgencies.setdefault(key, Urgency(urgency().background))
        came_later = work.background and not urgency().background
        if came_later:
            work.hurry()
        try:
            return await self._beginnings.join(key, lambda: self._begin(digest, via, span, work))
        except SourceThrottled:
            if not came_later:
                raise
        return await self._joined(digest, via, span)

    async def _begin(self, digest: Digest, via: Via, span: Span | None, work: Urgency) -> Fill:
        """Readers of other registries begin for themselves meanwhile: the first whose parents answer makes the fill."""
        work_as(work)
        await behind_clients(via.rivals)
        since = self._now()
        while True:
            async with self._store.lock(digest, _purpose(via)) as mine:
                if mine:
                    return await self._begun(digest, via, span)
            # Another process learns the size and claims what its stream brings: no second stream for that.
            await asyncio.sleep(look_again(self._now() - since, self._policy.poll))

    async def _begun(self, digest: Digest, via: Via, span: Span | None) -> Fill:
        """A fill that is no lie, as far as can be known soon."""
        size = await self._store.held_size(digest)
        if size:
            return await self._made(digest, size)
        for _ in range(ATTEMPTS):
            fill, believed = await self._opened(digest, via, span)
            if believed:
                break
        return fill

    async def _opened(self, digest: Digest, via: Via, span: Span | None) -> tuple[Fill, bool]:
        """Learn the size from the first stream, and go on with it; whether it is to be believed."""
        stack = AsyncExitStack()
        try:
            reading = await stack.enter_async_context(
                opened_with_bytes(digest, via, self._opening(via, span))
            )
            fill = await self._made(digest, reading.info.size, reading.provenance.source)
        except BaseException:
            await stack.aclose()
            raise
        if via.place is not None:
            fill.given_by.add(via.place)
        adopted = fill.transfers.adopt(reading, stack, via)
        await via.gave(digest)
        if adopted:
            return fill, await fill.believed(via)
        await stack.aclose()
        return fill, True

    def _opening(self, via: Via, span: Span | None) -> Span | None:
        """What to ask for when the size is not known. Where several lanes are to bring it, no more than one of them
        is to: else the stream would be cut, and what is on its way come twice."""
        opening = _opening(span)
        if (
            opening is not None
            or self._shares.expected(via.registry, asyncio.get_running_loop().time())[1] <= 1
        ):
            return opening
        return Span(0, self._policy.lanes.least)

    async def _made(self, digest: Digest, size: int, told_by: str = "") -> Fill:
        """The fill that another registry's reader has begun meanwhile, or a new one."""
        if (made := self.get(digest)) is not None:
            return made
        stack = AsyncExitStack()
        hold = await stack.enter_async_context(self._store.hold(digest, size))
        if (made := self.get(digest)) is not None or hold.info.size != size:
            await stack.aclose()
            if made is not None:
                return made
            raise SourceLied(f"a length of {size} bytes; {hold.info.size} is what is held")
        if digest in self._fills:
            self._retired.append(self._fills.pop(digest))
        fill = Fill(self._store, hold, self._policy, told_by, self._budget, self._shares)
        self._fills[digest] = (fill, stack)
        self._used[digest] = self._now()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        return fill

    async def _sweep(self) -> None:
        """Close what nobody has used for a while."""
        while self._fills or self._retired:
            await asyncio.sleep(_SWEEP)
            retired, self._retired = self._retired, []
            for fill, stack in retired:
                if fill.idle:
                    await self._end(fill, stack)
                else:
                    fill.open_readings.doze()
                    self._retired.append((fill, stack))
            for digest, (fill, _) in list(self._fills.items()):
                if not fill.idle:
                    fill.open_readings.doze()
                    self._used[digest] = self._now()
                elif self._is_current(digest, fill) and (
                    self._now() - self._used.get(digest, 0) > _linger(fill) or fill.state.outcome.discarded
                ):
                    await self.drop(digest)
        self._sweeper = None

    def _is_current(self, digest: Digest, fill: Fill) -> bool:
        """Another may have taken its place while those before it were closed."""
        entry = self._fills.get(digest)
        return entry is not None and entry[0] is fill

    async def drop(self, digest: Digest) -> None:
        """Close the fill of `digest`, even under its readers; what was written stays held."""
        entry = self._fills.pop(digest, None)
        self._used.pop(digest, None)
        if entry is not None:
            await self._end(*entry)

    async def _end(self, fill: Fill, stack: AsyncExitStack) -> None:
        """Whatever the disk says: the others are to be closed after it."""
        await fill.close()
        try:
            await stack.aclose()
        except Failure as fault:
            _log.warning("%s: its fill was closed, but not well: %s", fill.digest, fault)

    async def close(self) -> None:
        """End every fill; what was written stays held."""
        await self._beginnings.close()
        await asyncio.gather(*self._notes)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for digest in list(self._fills):
            await self.drop(digest)
        for fill, stack in self._retired:
            await self._end(fill, stack)
        self._retired.clear()


def look_again(waited: float, least: float) -> float:
    """Seconds until the next look, after `waited` seconds of looking; at least `least`."""
    return min(max(least, waited * LATE), LOOK_AGAIN)


def _purpose(via: Via) -> str:
    """The name of the lock under which a fill is begun."""
    return f"begin-{Digest.of(via.registry.encode()).hex[:16]}"


@asynccontextmanager
async def opened_with_bytes(digest: Digest, via: Via, span: Span | None) -> AsyncIterator[Reading]:
    """The blob opened through `via`. An answer without a byte is none: the empty blob is asked of nobody, so a
    parent that sends it for another digest is wrong, and the next is asked."""
    for attempt in range(ATTEMPTS):
        async with via.source.open(digest, span) as reading:
            if reading.info.size:
                yield reading
                return
            lie = SourceLied("sent no byte for a digest of some", source=reading.provenance.source)
        via.distrust(lie.source, digest, lie.reason)
        if attempt == ATTEMPTS - 1:
            raise lie


def _linger(fill: Fill) -> float:
    return _SWEEP if fill.state.outcome.committed else LINGER


def _opening(span: Span | None) -> Span | None:
    """What to ask for when the size is not known: whole chunks, and no range at all for the whole blob."""
    if span is None or (span.start < CHUNK and span.stop >= 1 << 60):
        return None
    return Span(span.start // CHUNK * CHUNK, -(-span.stop // CHUNK) * CHUNK)
