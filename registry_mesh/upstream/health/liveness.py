"""Whether a parent is alive: asked with a ping when it is late, and not waited for longer than that takes.

A ping that is out says more the longer it is out. After `silent` nobody waits for the parent any more, which opens
nothing: a request gets a clear answer in less than a second, and a parent that answers a little later was never away.
After `ping` the breaker opens. Time in which this process stood still is not counted. How far away a parent is its
answers tell; before the first of them a hung one looks like a far one, and a ping is given the time that the far one
needs.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.upstream.health.awake import AwakeLimit
from registry_mesh.upstream.health.board import Card
from registry_mesh.upstream.health.breaker import Breaker
from registry_mesh.upstream.health.causes import cause, is_ours

LONGEST_PING: Final = 10.0
"""Seconds that a parent far away, or one that was away, has to answer a ping behind everybody's back."""

LATELY: Final = 0.25
"""Seconds since an answer within which a parent is not pinged for another's sake."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. `connect` to be connected; `suspect` until an answer's head is late enough to ping the parent;
    `silent` for that ping until the parent is waited for no more; `ping` until it is given up; `head` for the
    head in all; `stall` between two pieces of a body; `drip` in which a body
    brings at least what `floor` says. The usual latency, eight times, is always waited for; until a
    parent has answered once nothing is usual, and a ping that is out has `first`: a connection and a TLS handshake over
    600 ms of round trip, and a few seconds to answer."""

    connect: float = 5.0
    suspect: float = 0.3
    silent: float = 0.4
    ping: float = 1.0
    head: float = 9.0
    stall: float = 5.0
    drip: float = 10.0
    first: float = 8.0
    soon: float = 0.02
    """Until an answer may be called later than usual, if it is: below, a busy node's own turns decide."""
    unanswered: int = 1024
    """Requests that wait for their heads at once, a quarter of what a process serves at a time: one parent that
    accepts and never answers is not to hold up what others have."""


BACK: Final = 0.25
"""Seconds that a request waits to see whether a parent that refused is back; four times the usual latency is added."""

BACK_FROM_SILENCE: Final = 0.02
"""The same for one that accepted and did not answer: most of the time it still does not."""

A_MOMENT: Final = 0.05
"""Seconds between a ping in vain and the next that a request has sent: it waits for so long, or does without."""


class Silent(TimeoutError):
    """It accepts, and has not answered a ping for too long to be waited for."""


class Liveness:
    """Of one parent. `ask` pings it: True when it answered well; it may raise, and may take for ever."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[bool]],
        patience: Patience,
        breaker: Breaker,
        card: Card | None = None,
    ) -> None:
        self._card = card or Card.alone()
        self._ask = ask
        self._patience = patience
        self.breaker = breaker
        self._ping: asyncio.Task[bool] | None = None
        self._pinged = 0.0  # later by the time in which we stood still
        self._limit: AwakeLimit | None = None
        self._ended = -math.inf
        self._refuses = True  # False: the last ping was waited for in vain
        self.on_late: Callable[[], None] = lambda: None
        """Called when an answer is late: others may be away, too."""

    def heard(self) -> None:
        """Bytes came from it: whatever else is late, it is not hung."""
        self._card.hear()

    @property
    def silent(self) -> bool:
        """A ping is out, and has been for too long to wait for the parent."""
        return self._left() <= 0

    @property
    def told(self) -> str:
        """Why a silent parent is not asked, and when it is."""
        silent = time.monotonic() - max(self._pinged, self._last)
        return f"accepts, and has not answered for {silent:.1f} s, is asked again once it answers a ping"

    @property
    def _last(self) -> float:
        return max(self._card.heard_at, self.breaker.last_success)

    def heard_within(self, seconds: float) -> bool:
        """Whether anything came from it so lately."""
        return self._last > 0 and time.monotonic() - self._last <= seconds

    def _usual(self, least: float) -> float:
        return max(least, 8 * self.breaker.latency)

    def _for_ping(self, least: float) -> float:
        """Seconds that a ping is given, where `least` are enough for a parent that is near."""
        return self._usual(least) if self.breaker.answered else max(least, self._patience.first)

    def _left(self) -> float:
        """Seconds until the parent is waited for no more; infinite while no ping is out."""
        if not self._out:
            return math.inf
        return max(self._pinged, self._last) + self._for_ping(self._patience.silent) - self._now()

    def _now(self) -> float:
        """The monotonic clock; while a ping is out, as far as this process is known to have been at work."""
        return self._limit.now() if self._limit is not None else time.monotonic()

    @property
    def _out(self) -> bool:
        """Whether a ping is out."""
        return self._ping is not None and not self._ping.done()

    def check(self) -> asyncio.Task[bool]:
        """The ping that is out, or a new one. Its result: whether the parent is alive."""
        if self._ping is None or self._ping.done():
            self._pinged = time.monotonic()
            self._ping = asyncio.ensure_future(self._pinging())
        return self._ping

    async def _pinging(self) -> bool:
        breaker = self.breaker
        seconds = self._for_ping(self._patience.ping)
        if breaker.open:  # nobody waits for this one
            seconds = max(seconds, min(LONGEST_PING, breaker.pause))
        began = self._pinged = time.monotonic()
        self._card.write(ping_limit=self._for_ping(self._patience.silent), ping_at=began)
        try:
            async with AwakeLimit(seconds, self._stood) as self._limit:
                answered = await self._ask()
        except (TimeoutError, OSError) as fault:
            self._refuses = time.monotonic() - began < BACK
            ours = is_ours(fault.__cause__ or fault)
            if not ours and time.monotonic() - self._card.heard_at > seconds:
                breaker.failed(cause(fault), hard=True)
            return False
        finally:
            self._limit, self._ended = None, time.monotonic()
            self._card.write(ping_at=0)
        if answered:
            breaker.succeeded(time.monotonic() - self._pinged)
        else:
            breaker.failed("answers with a server error", hard=False)
        return answered

    def _stood(self, seconds: float) -> None:
        """We stood still for so long: the ping that is out is as good as sent later."""
        self._pinged += seconds
        self._card.write(ping_at=self._pinged)

    async def answers(self) -> bool:
        """Whether it answers a ping, which is waited for as long as anybody waits for a silent parent."""
        return await self._answered(self.check(), self._left)

    async def back(self) -> bool:
        """Whether it answers a ping, which is waited for no longer than it is worth."""
        early, before = self._ended + A_MOMENT - time.monotonic(), self._ping
        if early > 0 and not self._out:
            if not self._refuses:
                return False
            await asyncio.sleep(early)
        ping = self.check() if self._ping is before or self._ping is None else self._ping
        bound = min(1.0, (BACK if self._refuses else BACK_FROM_SILENCE) + 4 * self.breaker.latency)
        return await self._answered(ping, lambda: self._pinged + bound - self._now())

    async def _answered(self, ping: asyncio.Task[bool], left: Callable[[], float]) -> bool:
        """Whether the ping is answered well while seconds are `left`, which grow where this process stood still."""
        while not ping.done() and (seconds := left()) > 0:
            await asyncio.wait({ping}, timeout=seconds)
        return await _done_by_now(ping) and not ping.cancelled() and ping.result()

    async def wait(self, request: asyncio.Future[Any]) -> None:
        """Until `request`, of whatever type, is done or the parent is known to be slow and not hung; `Silent` where
        it is neither."""
        late = self._usual(self._patience.suspect)
        await asyncio.wait({request}, timeout=min(late, max(0.0, self._left())))
        while not request.done():
            if self._left() == math.inf:
                self.on_late()
            ping = self.check()
            both: set[asyncio.Future[Any]] = {request, ping}
            await asyncio.wait(both, timeout=max(0.0, self._left()), return_when=asyncio.FIRST_COMPLETED)
            if ping.done() and ping.result():
                return
            if ping.done() and self.heard_within(late):  # not hung, though it fails pings
                await asyncio.wait({request}, timeout=late)
            elif (ping.done() or self.silent) and not await _done_by_now(request):
                raise Silent("accepts, and never answers")

    async def close(self) -> None:
        """Take back the ping that is out."""
        if self._ping is not None:
            self._ping.cancel()
            await asyncio.gather(self._ping, return_exceptions=True)


async def _done_by_now(request: asyncio.Future[Any]) -> bool:
    """It was perhaps we who were late: let what has arrived be seen before it is said that nothing has."""
    for _ in range(3):
        await asyncio.sleep(0)
    return request.done()
