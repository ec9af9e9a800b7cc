"""One stream from a source into a hold: the only thing that moves bytes inwards."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from time import monotonic

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.sums import ChunkSum
from registry_mesh.content.fill.backlog import Backlog
from registry_mesh.content.fill.behind import BackgroundPace
from registry_mesh.content.fill.chunk_sums import ChunkSums
from registry_mesh.content.fill.retries import Retries
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.stretch import Stretch
from registry_mesh.content.fill.via import NO_RIVALS, Via
from registry_mesh.content.fill.watch import PaceWatch
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import DirectBody, Reading
from registry_mesh.ports.failures import (
    Failure,
    SourceDiffers,
    SourceDown,
    SourceLied,
    SourceSlow,
    SourceThrottled,
    SourceUnavailable,
    SpanUnsatisfiable,
)
from registry_mesh.ports.partial import Give
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.urgency import Urgency, urgency, work_as

Wanted = Callable[["Transfer"], Awaitable[bool]]
Written = Callable[[int, Sequence[ChunkSum | None], str], int]


class Transfer(Stretch):
    """Fills a stretch of a fill through `via`.

    `wanted` is asked now and then whether it shall go on, and may make it wait. `written` is told of chunks that are
    whole, from an index on, with the sum of each where that was seen. It returns how many of them it took, and raises
    `SourceLied` where the first is wrong; that chunk comes again then. `unasked`: all of them are fetched, whether a
    reader waits for them or not.
    """

    def __init__(
        self,
        state: FillState,
        via: Via,
        chunks: range,
        wanted: Wanted,
        written: Written,
        *,
        unasked: bool = False,
    ) -> None:
        super().__init__(state.size, chunks)
        self._state = state
        self.via = via
        self._wanted = wanted
        self._written = written
        self.unasked = unasked
        self.urgency = Urgency(urgency().background)
        """That of the reader that began it, until a client waits for it."""
        self.step_back = BackgroundPace(self.urgency, monotonic)
        self.waits_since: float | None = None
        """When it came to be a window ahead of all who want more, in the loop's time."""
        self.dismissed = False
        """It is to wait no more."""
        self.granted = 0
        """Bytes before this are wanted by readers of another process."""
        self.source = ""
        self._near = ""
        self.other_size = 0
        """What a source has said that the blob's size is, other than the fill's."""
        self.rate = 0.0  # bytes/s, smoothed
        self._began = monotonic()
        self.moved_at = self._began
        """When bytes came last, or it last did not want any, on the clock of `time.monotonic`."""
        self._backlog = Backlog(self._store_batch, state.policy.queued, state.policy.batch)
        self._sums = ChunkSums(state.size)
        self._held = 0.0
        """Seconds in which no more was wanted of the stream under way."""
        self._left: set[str] = set()
        """Sources that were left for being slow; the one that goes on then is waited for."""

    async def run(self, opened: tuple[AsyncExitStack, Reading] | None = None) -> None:
        """Until all is filled or nobody wants more. Resumes at the same byte, at whichever source is next."""
        work_as(self.urgency)
        retries, loop = Retries(random.random), asyncio.get_running_loop()
        while self.position < self.end:
            before, self.step_back.waited = self.position, False
            began, self._held = loop.time(), 0.0
            try:
                if opened is not None:
                    stack, reading = opened
                    opened = None
                    async with stack:
                        await self._stream(reading)
                else:
                    async with self.via.source.open(self._state.digest, self._ask()) as reading:
                        await self._stream(reading)
                if self.position >= self.end:
                    return
                if not await self._wanted(self) or self.over_long_hole():
                    return
            except (SourceUnavailable, SourceLied, SpanUnsatisfiable) as raised:
                failure = self._differs(raised.size) if isinstance(raised, SpanUnsatisfiable) else raised
                pause = self._again(retries, before, failure, loop.time() - began - self._held)
                self._state.stumbled(failure, self.via)
                if isinstance(failure, SourceLied):
                    self._sums.forget()
                nothing_came = self.position == self.chunks.start * CHUNK
                if pause is None or (isinstance(failure, SourceDown) and nothing_came):
                    raise await self._reason(failure) from None
                await asyncio.sleep(pause)

    def _again(self, retries: Retries, before: int, failure: Failure, waited: float) -> float | None:
        """Seconds until a source is asked again for what is left; None where none is. What came is kept. `waited`: for
        the stream that failed, in seconds."""
        came, now = self.position - before, monotonic()
        source = failure.source or self.source
        retry = retries.after(failure, came, self.end - before, now, waited)
        if retry.doubt and not self._made_way(failure):
            self.via.doubt(source, self._state.digest)
        if came and not isinstance(failure, SourceSlow):
            self.other_size = 0
        if retry.pause is None or (retry.doubt and self._is_another(source)):
            return retry.pause
        return retry.pause + self._state.budget.take(source, now)

    def _made_way(self, failure: Failure) -> bool:
        """Whether the stream stood still, or was not begun, for the sake of clients: that it broke tells nothing of its
        source then."""
        return self.step_back.waited or (self.urgency.background and isinstance(failure, SourceThrottled))

    def _is_another(self, source: str) -> bool:
        """Whether another source, with which nothing was amiss, goes on: `source` is not asked again then."""
        return self.via.rivals.rate(source, self._state.digest) is not None

    async def _reason(self, failure: Failure) -> Failure:
        """Why it gives up. Streams that begin and break off before the end, again and again, may be of another size."""
        if self.source and not self.other_size and not isinstance(failure, SourceDown):
            with suppress(Failure, Refusal):
                size = (await self.via.source.stat(self._state.digest)).size
                self.other_size = size if size != self._size else 0
        return self._differs(self.other_size) if self.other_size else failure

    def _differs(self, size: int) -> SourceDiffers:
        self.other_size = size
        told = f"named {size} bytes; the blob that is being brought has {self._size}"
        return SourceDiffers(told, source=self.source)

    def _ask(self) -> Span | None:
        if self.position == 0 and self.end == self._size:
            return None
        return Span(self.position, self.end)

    async def _stream(self, reading: Reading) -> None:
        """Take what comes while a thread stores what came before. All that was taken is stored at the end."""
        self.source, self._near = reading.provenance.source, reading.provenance.near
        self._state.budget.asked(self.source, monotonic())
        if reading.info.size != self._size:
            raise self._differs(reading.info.size)
        if reading.span.stop <= self.position:
            raise SourceUnavailable("gave nothing of what was asked for", source=self.source)
        self.received = self.position
        try:
            async with self._watched() as watch:
                with reading.direct() as body:
                    if body is not None:
                        await self._receive(body, reading.span.stop, watch)
                    else:
                        await self._take_all(reading, watch)
        except SourceSlow:
            self._left.add(self.source)
            raise
        finally:
            try:
                await self._backlog.settle()
            finally:
                self.received = self.position

    def _watched(self) -> PaceWatch:
        """Where it is back at a source that was left, nobody does better."""
        rivals = NO_RIVALS if self.source in self._left else self.via.rivals
        policy = self._state.policy.pace
        return PaceWatch(
            policy, rivals, self.source, self._state.digest, lambda: self.received, lambda: self.end
        )

    async def _goes_on(self, watch: PaceWatch) -> bool:
        """Whether more is wanted now, or after a while."""
        watch.waiting, watch.held = False, True
        since = monotonic()
        try:
            return await self._wanted(self) and not self.over_long_hole()
        finally:
            watch.held = False
            self._held += monotonic() - since

    async def _take_all(self, reading: Reading, watch: PaceWatch) -> None:
        watch.waiting = True
        async for data in in_memory(reading):
            watch.waiting = False
            await self._take(data)
            if self.received >= self.end or not await self._goes_on(watch):
                return
            watch.waiting = True
        if self.received < min(self.end, reading.span.stop):
            raise SourceUnavailable("the stream ended early", source=self.source)

    async def _receive(self, body: DirectBody, stop: int, watch: PaceWatch) -> None:
        """Have a thread receive and store, as long as it finds something to receive, and up to `queued` bytes before
        the loop has a say again. The body ends at `stop`."""
        policy = self._state.policy
        buffer = memoryview(bytearray(min(policy.batch, self.end - self.position)))
        while self.position < min(self.end, stop):
            watch.waiting = True
            await body.ready(min(CHUNK - self.position % CHUNK, self.end - self.position))
            watch.waiting = False
            hole = self.holes[0] if self.holes else range(self.chunks.stop, self.chunks.stop)
            if self.position < hole.start * CHUNK:
                edge = min(self.end, hole.start * CHUNK, self.position + policy.queued)
                await self._store_from(body, buffer, edge)
            else:
                room = buffer[: min(self.end, hole.stop * CHUNK) - self.position]
                self.position += await asyncio.to_thread(body.receive_into, room)
            self.received = self.position
            if not await self._goes_on(watch):
                return

    async def _store_from(self, body: DirectBody, buffer: memoryview, edge: int) -> None:
        """Bytes up to `edge`, no more than are there now."""
        offset = self.position
        self.received = edge

        def give() -> Sequence[memoryview]:
            nonlocal offset
            size = body.receive_into(buffer[: edge - offset])
            offset += size
            return (buffer[:size],) if size else ()

        await self._store(give)

    async def _take(self, data: bytes) -> None:
        """Have stored what arrived, less what lies in holes."""
        view = memoryview(data)[: self.end - self.received]
        while view:
            hole = self.holes[0] if self.holes else None
            if hole is not None and self.received >= hole.start * CHUNK:
                await self._backlog.settle()  # all of it lies before the hole
                skipped = min(len(view), hole.stop * CHUNK - self.position)
                self.position += skipped
                self.received = self.position
                view = view[skipped:]
                if self.position >= hole.stop * CHUNK:
                    self.holes.pop(0)
                continue
            part = view[: hole.start * CHUNK - self.received] if hole is not None else view
            self.received += len(part)
            await self._backlog.put(data if len(part) == len(data) else bytes(part))
            view = view[len(part) :]

    async def _store_batch(self, batch: Sequence[bytes]) -> None:
        once = iter((batch,))
        await self._store(lambda: next(once, ()))

    async def _store(self, give: Give) -> None:
        """Have a thread store what `give` gives. It tells of each batch, and goes on with the next at once."""
        offset = self.position
        batch: Sequence[bytes | memoryview] = ()
        stored: deque[tuple[int, list[ChunkSum | None]]] = deque()
        wrong: list[SourceLied | OSError] = []
        loop = asyncio.get_running_loop()

        def given() -> Sequence[bytes | memoryview]:
            nonlocal batch
            batch = () if wrong else give()
            return batch

        def then() -> None:
            nonlocal offset
            sums: list[ChunkSum | None] = []
            for data in batch:
                self._state.hash_in_thread(offset, data)
                sums += self._sums.take(offset, data, self._state.summed_by)
                offset += len(data)
            stored.append((offset, sums))
            loop.call_soon_threadsafe(tell)

        def tell() -> None:
            while stored and not wrong:
                try:
                    self._stored(*stored.popleft())
                except (SourceLied, OSError) as fault:  # a chunk is read again to be summed
                    wrong.append(fault)

        await self._state.bytes.write(offset, given, then)
        tell()
        if wrong:
            raise wrong[0]

    def _stored(self, offset: int, sums: Sequence[ChunkSum | None]) -> None:
        """Bytes up to `offset` are written; `sums`: of each chunk that they completed."""
        begin, self.position = self.position, offset
        self.moved_at = monotonic()
        elapsed = monotonic() - self._began
        self.rate = (offset - self.chunks.start * CHUNK) / elapsed if elapsed > 0.01 else 0.0
        index, taken = begin // CHUNK, 0
        while taken < len(sums):
            try:
                taken += self._written(index + taken, sums[taken:], self.source)
            except SourceLied:
                self.position = (index + taken) * CHUNK
                raise
        self._state.stored(offset - begin, self.source, self.via, self._near)
