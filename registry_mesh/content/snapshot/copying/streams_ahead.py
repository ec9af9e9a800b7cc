"""Streams that run ahead of the one that a store takes in order, where the parent is far away (`fill.lanes`).

Where a blob is held in part each stream writes where its bytes belong (`fill.stripes`). Here what runs ahead waits in
memory for its turn, a stripe of a stream at most, twice; and on this machine, for the process that follows one that is
killed. What such a one left ahead is a stripe that has come already.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.lanes import LaneMeter, LanePolicy, Lanes, LaneShares
from registry_mesh.content.fill.rivals import RivalTraffic
from registry_mesh.content.fill.stripes import FIRST, ROUNDS
from registry_mesh.oci.span import Span
from registry_mesh.ports.remainders import Remainder

POLICY: Final = LanePolicy(longest=MIB)
"""Smaller stripes than those of a fill: where nothing is kept on this machine a killed run loses those that wait."""

Take = Callable[[bytes], Awaitable[bool]]
"""Takes the next bytes of a stream; False where no more are wanted."""


class StripeStream:
    """One stream that runs ahead. `receive` brings `span` and gives it to what it is told to."""

    def __init__(self, span: Span, receive: Callable[[StripeStream], Awaitable[None]]) -> None:
        self.span = span
        self.came = span.start
        """Bytes of the blob before this have come."""
        self._pieces: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._task = asyncio.ensure_future(self._run(receive))

    async def _run(self, receive: Callable[[StripeStream], Awaitable[None]]) -> None:
        try:
            await receive(self)
        finally:
            self._changed.set()

    async def take(self, data: bytes) -> bool:
        """Keep them until their turn comes."""
        data = data[: self.span.stop - self.came]
        self.came += len(data)
        self._pieces.append(data)
        self._changed.set()
        return self.came < self.span.stop

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes in order, as they come. Ends early where the stream did, or raises what ended it."""
        while True:
            self._changed.clear()
            while self._pieces:
                yield self._pieces.popleft()
            if self._task.done():
                await self._task
                return
            await self._changed.wait()

    async def end(self) -> None:
        """Bring no more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # nobody waits for these bytes


class KeptStripe:
    """Stands for a stream that ran ahead: an earlier process kept what it brought."""

    def __init__(self, span: Span, remainder: Remainder) -> None:
        self.span = span
        self.came = span.stop
        self._remainder = remainder

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes in order. Ends early where they are not there any more."""
        left = len(self.span)
        async for data in self._remainder.after(self.span.start):
            yield data[:left]
            left -= min(left, len(data))
            if not left:
                return

    async def end(self) -> None:
        """Nothing runs."""


def kept_ahead(remainder: Remainder, offset: int) -> list[KeptStripe]:
    """What is kept behind `offset`, each byte once."""
    stripes = []
    for span in remainder.spans():
        if span.stop > offset:
            stripes.append(KeptStripe(Span(max(span.start, offset), span.stop), remainder))
            offset = span.stop
    return stripes


class StreamsAhead:
    """Of one blob of `size` bytes. To be entered and left; `at` is where the store has come to."""

    def __init__(
        self,
        shares: LaneShares,
        traffic: RivalTraffic,
        size: int,
        at: Callable[[], int],
        receive: Callable[[StripeStream], Awaitable[None]],
        kept: Iterable[KeptStripe] = (),
        policy: LanePolicy = POLICY,
    ) -> None:
        """`kept`: of an earlier process."""
        self._policy = policy
        self._shares = shares
        self._traffic = traffic
        self._size = size
        self._at = at
        self._receive = receive
        self._running: dict[int, StripeStream | KeptStripe] = {each.span.start: each for each in kept}
        self._lanes: Lanes | None = None
        self._source = ""
        self._timer: asyncio.TimerHandle | None = None
        self._meter = LaneMeter()
        self.stop = size
        """Where the stream that the store takes is to end."""
        self._may_cut = False

    async def __aenter__(self) -> StreamsAhead:
        if self._size > 2 * self._policy.least:
            loop = asyncio.get_running_loop()
            self._meter.begin(self._at(), loop.time())
            self._timer = loop.call_later(FIRST, self._look)
            source, found = self._shares.expected("", loop.time())
            if found > 1:
                self._source, self._lanes = source, Lanes(self._policy, found, loop.time())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._shares.leave(self)
        for each in self._running.values():
            await each.end()

    @property
    def count(self) -> int:
        """Streams that there may be side by side."""
        return 1 if self._lanes is None else self._shares.use(self, self._lanes.count)

    def begins(self, source: str) -> None:
        """The store takes from `source` now. Where several streams helped with it before there are as many at once."""
        if self._timer is None:
            return
        if self._lanes is None or source != self._source:
            now = asyncio.get_running_loop().time()
            self._source = source
            self._lanes = Lanes(self._policy, self._shares.found(source, now), now)
            self._meter.begin(self._came(), now)
        self._fill()

    def next(self) -> StripeStream | KeptStripe | None:
        """The stream that brings what the store takes next, where there is one. `end` it."""
        stripe = self._running.pop(self._at(), None)
        if stripe is not None:
            self.stop, self._may_cut = stripe.span.stop, False
            self._fill()
        return stripe

    def span(self) -> Span | None:
        """What the store's next stream is to bring, where none brings it yet; None: all of the blob."""
        at = self._at()
        ahead = min([each for each in self._running if each > at], default=self._size)
        self.stop = min(ahead, at + self._stripe() if self.count > 1 else self._size)
        self._may_cut = True
        return Span(at, self.stop) if at or self.stop < self._size else None

    def _fill(self) -> None:
        """Have as many streams as there may be, each with a stripe of its own."""
        at, stripe = self._at(), self._stripe()
        if (lanes := self.count) <= 1:
            return
        if self._may_cut and not any(each > at for each in self._running):
            self.stop = min(self.stop, _whole_chunks(at) + stripe)
        begin = max([self.stop, *(each.span.stop for each in self._running.values())])
        while begin < min(self._size, at + 2 * lanes * stripe) and len(self._running) < lanes - 1:
            span = Span(begin, min(self._size, begin + stripe))
            self._running[begin] = StripeStream(span, self._receive)
            begin = span.stop

    def _stripe(self) -> int:
        missing = (self._size - self._at()) // CHUNK
        return CHUNK * self._policy.stripe(missing, self.count)

    def _came(self) -> int:
        """Bytes that have come, in order or not."""
        return self._at() + sum(each.came - each.span.start for each in self._running.values())

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        distance = self._traffic.traffic(self._source).distance
        period = max(self._policy.period, ROUNDS * distance)
        self._timer = loop.call_later(period, self._look)
        if self._lanes is None or distance < self._policy.far:
            return
        self._measure(self._lanes, loop.time())
        self._fill()

    def _measure(self, lanes: Lanes, now: float) -> None:
        if self._meter.measure(lanes, self._came(), now):
            self._shares.learn(self._source, lanes.count, now)
            self._shares.gives("", self._source)


def _whole_chunks(position: int) -> int:
    return -(-position // CHUNK) * CHUNK
