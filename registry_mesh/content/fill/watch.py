"""Watches one stream, and cuts it off where another source would do far better."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.pace import PacePolicy
from registry_mesh.content.fill.rivals import Rivals, Traffic
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import SourceSlow

TICK: Final = 0.05
"""Seconds between two looks."""

TELLS: Final = MIB
"""Bytes from which on a stream tells how fast its source is."""


class PaceWatch:
    """To be entered while a stream is received; `SourceSlow` where it was cut off.

    `waiting` is to be set while bytes are waited for: only then it is cut. `held`: while nobody wants more.
    """

    def __init__(
        self,
        policy: PacePolicy,
        rivals: Rivals,
        source: str,
        digest: Digest,
        came: Callable[[], int],
        end: Callable[[], int],
    ) -> None:
        """`came`: the bytes of the blob before which all have come; `end`: the last of them that is asked for."""
        self._policy = policy
        self._rivals = rivals
        self._source = source
        self._digest = digest
        self._came = came
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._first = self._seen = came()
        self._waited = 0.0
        self._idle = 0.0
        self._begins = True
        self.waiting = False
        self.held = False

    async def __aenter__(self) -> PaceWatch:
        await self._limit.__aenter__()
        self._began = self._looked = self._loop.time()
        self._before = self._then = self._rivals.traffic(self._source)
        self._timer = self._loop.call_later(TICK, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._limit.__aexit__(kind, fault, trace)
        except TimeoutError:
            raise SourceSlow("is far slower than another source may be", source=self._source) from None
        self._tell()

    def _look(self) -> None:
        """Judge it once it was waited for long enough; then anew."""
        self._timer = self._loop.call_later(TICK, self._look)
        before, self._looked = self._looked, self._loop.time()
        if self.held:
            self._idle += self._looked - before
        if not self.waiting or self.held:
            return
        self._waited += TICK
        rival = self._rivals.rate(self._source, self._digest)
        if rival is not None and (rate := self._judged(rival)) is not None:
            self._rivals.outdone(self._source, rate)
            self._limit.reschedule(self._loop.time())

    def _judged(self, rival: float) -> float | None:
        """The rate of a source that is to be left for another of rate `rival`; None where it is waited for."""
        patience = self._rivals.patience(self._source)
        is_due = self._waited >= self._policy.seconds(rival, patience.pace)
        is_hush = self._begins and self._waited >= patience.hush
        if not is_due and not is_hush:
            return None
        came, now = self._came(), self._rivals.traffic(self._source)
        rate = self._rate(came - self._seen, self._then, now, self._waited)
        if is_due:
            self._seen, self._then, self._waited, self._begins = came, now, 0.0, False
        left = self._end() - came
        outdone = self._policy.outdone if is_due else self._policy.hushed
        return rate if outdone(rate, left, rival) else None

    def _tell(self) -> None:
        """Have it learned how fast the source was. A stream that was held for longer than it was received tells
        nothing: what came had gathered on the way."""
        came = self._came() - self._first
        seconds = self._loop.time() - self._began - self._idle
        if came >= TELLS and seconds > self._idle:
            now = self._rivals.traffic(self._source)
            self._rivals.note(self._source, self._rate(came, self._before, now, seconds))

    def _rate(self, came: int, then: Traffic, now: Traffic, seconds: float) -> float:
        in_all = (now.received - then.received) / seconds
        return self._policy.counts(came / seconds, in_all, now.bodies)
