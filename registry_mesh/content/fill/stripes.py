"""Several transfers of one fill side by side, each a stripe before the reader, where one alone is slow (`lanes`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, count
from registry_mesh.content.fill.lanes import LaneMeter, Lanes
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.transfer import Transfer
from registry_mesh.content.fill.via import Via
from registry_mesh.ports.partial import ChunkState

FIRST: Final = 0.1
"""Seconds until it is looked which source gives it: how many lanes help there may be known."""

ROUNDS: Final = 2.5
"""Times the seconds to an answer's head that a measurement lasts at least."""


class TransferStripes:
    """Of one fill. `running`: its transfers, as they are; `coming`: whether a chunk is here or on its way; `start`
    begins a transfer."""

    def __init__(
        self,
        state: FillState,
        running: Collection[Transfer],
        coming: Callable[[int], bool],
        start: Callable[[range, Via], bool],
    ) -> None:
        self._state = state
        self._policy = state.policy.lanes
        self._shares = state.shares
        self._running = running
        self._coming = coming
        self._start = start
        self._lanes: Lanes | None = None
        self._source = ""
        self._timer: asyncio.TimerHandle | None = None
        self._meter = LaneMeter()

    @property
    def count(self) -> int:
        """Transfers that it may have side by side."""
        if self._lanes is None or self._timer is None:
            return 1
        return min(self._state.policy.streams, self._shares.use(self, self._lanes.count))

    @property
    def window(self) -> int:
        """Bytes that a transfer runs ahead of the reader that wants it."""
        count = self.count
        return max(self._state.policy.window, 2 * count * self._policy.longest if count > 1 else 0)

    def limit(self, wanted: range) -> range:
        """The leading part of `wanted` that is one transfer's."""
        if (lanes := self.count) <= 1:
            return wanted
        stripe = self._policy.stripe(len(self._state.gap), lanes)
        return range(wanted.start, min(wanted.stop, wanted.start + stripe))

    def begin(self, via: Via) -> None:
        """A transfer has begun: see from now on whether more of them bring more. Where several helped before there are
        as many at once, so that no stream that asked for all has to be cut."""
        if self._timer is None and self._state.size > 2 * self._policy.least:
            loop = asyncio.get_running_loop()
            self._meter.begin(self._state.fetched, loop.time())
            self._timer = loop.call_later(FIRST, self._look)
            source, found = self._shares.expected(via.registry, loop.time())
            if self._lanes is None and found > 1:
                self._source, self._lanes = source, Lanes(self._policy, found, loop.time())

    def _look(self) -> None:
        running = [each for each in self._running if each.source and not each.unasked]
        if not running:
            self.close()
            return
        loop = asyncio.get_running_loop()
        distance = running[0].via.rivals.traffic(running[0].source).distance
        period = max(self._policy.period, ROUNDS * distance)
        self._timer = loop.call_later(period, self._look)
        if distance < self._policy.far:
            self._lanes = None
            return
        if any(
            each.step_back.waiting for each in running
        ):  # to cut one that stands still costs all that is buffered
            return
        if self._lanes is None or self._source != running[0].source:
            self._source = running[0].source
            self._shares.gives(running[0].via.registry, self._source)
            found = self._shares.found(self._source, loop.time())
            self._lanes = Lanes(self._policy, found, loop.time())
            self._meter.begin(self._state.fetched, loop.time())
        elif not any(each.waits_since is not None for each in running):
            self._measure(self._lanes, loop.time())
        self.fill()

    def _measure(self, lanes: Lanes, now: float) -> None:
        if self._meter.measure(lanes, self._state.fetched, now):
            self._shares.learn(self._source, lanes.count, now)

    def fill(self) -> None:
        """Have as many transfers as there may be, each with a stripe of its own."""
        state = self._state
        if state.troubles.told or not state.phase.fetches or (lanes := self.count) <= 1:
            return
        if any(each.step_back.waiting for each in self._running):
            return
        stripe = self._policy.stripe(len(state.gap), lanes)
        for each in self._running:
            stop = each.received // CHUNK + 1 + stripe
            if not each.unasked and each.chunks.stop - stop > stripe:
                each.carve(range(stop, each.chunks.stop))
        while len(self._running) < lanes and (gap := self._gap()) is not None:
            if not self._start(*gap):
                return

    def _gap(self) -> tuple[range, Via] | None:
        """The next stripe that a reader comes to, and that nobody brings."""
        seen = 0  # what one of a crowd waits for is not looked at again for the next
        for reader in sorted(self._state.readers, key=lambda each: each.position):
            stop = min(self._state.chunks, count(min(reader.stop, reader.position + self.window)))
            index = min(stop, max(seen, reader.position // CHUNK))
            while (index := self._state.marks.run(index, stop, ChunkState.UNPROVEN)) < stop:
                if not self._coming(index):
                    return self.limit(range(index, stop)), reader.via
                index += 1
            seen = max(seen, stop)
        return None

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._shares.leave(self)
