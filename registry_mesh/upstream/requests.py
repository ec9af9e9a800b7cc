"""Requests to one parent, each with the redirects that it leads to, and what they tell of the parent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Final

import aiohttp
from yarl import URL

from registry_mesh.auth.hosts import same_place
from registry_mesh.ports.failures import (
    SourceErred,
    SourceLoops,
    SourceThrottled,
    SourceUnavailable,
)
from registry_mesh.ports.hops import ONLY_IF_CACHED
from registry_mesh.telemetry.instruments import Counter
from registry_mesh.telemetry.traces import HANDED_ON
from registry_mesh.upstream.health.board import Card
from registry_mesh.upstream.health.breaker import Breaker
from registry_mesh.upstream.health.causes import cause
from registry_mesh.upstream.health.clocks import LOOK_EVERY, ahead
from registry_mesh.upstream.health.liveness import Liveness, Patience, Silent
from registry_mesh.upstream.health.opinion import LEADS_BACK
from registry_mesh.upstream.health.quota import allowance
from registry_mesh.upstream.health.throttles import Throttles
from registry_mesh.upstream.redirects import REDIRECTS, redirected
from registry_mesh.upstream.statuses import counted_as, is_well
from registry_mesh.upstream.way import Client

LOOK: Final = 0.25
"""Seconds between two looks whether a parent of our kind, which is late, waits for this node itself."""

FIRST_LOOK: Final = 0.05
"""The same at first, where this node has just met the parent."""

MEETING: Final = 5.0
"""Seconds since a parent is up in which it may not know yet whom it asks itself."""

_OF_A_CONNECTION: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientResponseError)
"""Faults of one connection, that others need not have: it was closed meanwhile, or holds bytes of an answer before."""


class Hung(SourceUnavailable):
    """The parent answers pings, and a request not at all."""


class Requests:
    """What one parent is asked. `ours` tells whether it is known to be a node of the mesh. `answers`: the counter of
    each word of `telemetry.names.ANSWERS`."""

    def __init__(
        self,
        client: Client,
        url: str,
        name: str,
        patience: Patience,
        breaker: Breaker,
        liveness: Liveness,
        throttles: Throttles,
        card: Card,
        ours: Callable[[], bool],
        answers: Mapping[str, Counter],
    ) -> None:
        self._client = client
        self._url = url
        self._name = name
        self._patience = patience
        self._breaker = breaker
        self._liveness = liveness
        self._throttles = throttles
        self._card = card
        self._ours = ours
        self._answers = answers

    def leave_alone(self, url: str) -> None:
        """Raise `SourceThrottled` where the host of `url` asked for patience."""
        if (held := self._throttles.left(url)) is not None:
            status, left = held
            raise SourceThrottled(
                f"answered {status} and asked for patience, is asked again in {left:.0f} s",
                source=self._name,
                retry_after=left,
            )

    async def send(
        self,
        stack: AsyncExitStack,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        authorization: str,
        body: bytes | None = None,
        beyond: float = 0.0,
    ) -> aiohttp.ClientResponse:
        """One request and the redirects it leads to. Credentials, and a body, stay with the parent's own host and
        port. `beyond`: seconds that the head may take more than usual."""
        for _ in range(REDIRECTS + 1):
            own = same_place(url, self._url)
            self.leave_alone(url)
            sent = _shown(headers, authorization) if own else _bare(headers)
            response = await self._timed(stack, method, url, query, sent, own, body if own else None, beyond)
            if response.status not in (301, 302, 303, 307, 308):
                return response
            location = response.headers.get("Location", "")
            response.release()
            url, query = redirected(url, location, self._client.way, self._name), None
        raise SourceUnavailable(f"more than {REDIRECTS} redirects", source=self._name)

    async def _timed(
        self,
        stack: AsyncExitStack,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        own: bool,
        body: bytes | None,
        beyond: float,
    ) -> aiohttp.ClientResponse:
        began = time.monotonic()
        limit = aiohttp.ClientTimeout(total=None, sock_connect=self._patience.connect, sock_read=None)
        target = URL(url, encoded=True)
        if query:
            target = target.update_query(query)
        request = asyncio.ensure_future(
            self._client.request(
                method, target, headers=headers, data=body, allow_redirects=False, timeout=limit
            )
        )
        try:
            if own:
                await self._alive(request)
            response = await self._answered(request, self._patience.head + beyond)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as fault:
            self._answers["unreachable"].add()
            reason = f"no answer: {cause(fault)}"
            if own and not isinstance(fault, Silent):  # of that the ping decides
                self._breaker.failed(reason, hard=not isinstance(fault, _OF_A_CONNECTION))
            kind = SourceErred if isinstance(fault, aiohttp.ClientResponseError) else SourceUnavailable
            raise kind(reason, source=self._name) from None
        finally:
            if not request.done():
                request.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await request
        stack.push_async_exit(response)
        held = headers.get(ONLY_IF_CACHED[0]) == ONLY_IF_CACHED[1]
        self._answers[counted_as(response.status, held=held)].add()
        if own and not is_well(response.status, target.path, held=held):
            self._breaker.failed(f"answered {response.status}", hard=False)
        elif own:
            self._breaker.succeeded(time.monotonic() - began)
        if own:
            self.note_quota(response)
            self._note_clock(response)
        return response

    async def _alive(self, request: asyncio.Future[aiohttp.ClientResponse]) -> None:
        """See `Liveness.wait`. Of a parent of our kind, with which we have just met, it is asked again and again
        meanwhile whom it asks itself: nodes of a ring that meet all at once would wait for each other."""
        if not self._ours() or self._card.clock() - self._card.known().up_since > MEETING:
            await self._liveness.wait(request)
            return
        waiting = asyncio.ensure_future(self._liveness.wait(request))
        pause = FIRST_LOOK
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=pause)
                if self._card.known().leads_back:
                    raise SourceLoops(LEADS_BACK, source=self._name)
                if not waiting.done():
                    self._liveness.check()
                pause = min(LOOK, 1.5 * pause)
            await waiting
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})

    async def _answered(
        self, request: asyncio.Future[aiohttp.ClientResponse], seconds: float
    ) -> aiohttp.ClientResponse:
        """The answer of a parent that is alive; `Hung` where none comes in so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not request.done() and (left := until - loop.time()) > 0:
            await asyncio.wait({request}, timeout=min(left, LOOK) if self._ours() else left)
            if self._card.known().leads_back:
                raise SourceLoops(LEADS_BACK, source=self._name)
            if self._ours() and not request.done():
                self._liveness.check()  # it may have learned meanwhile that we are above it
        if not request.done():
            self._answers["unreachable"].add()
            raise Hung(f"alive, and no answer for {seconds:.0f} s", source=self._name)
        return request.result()

    def _note_clock(self, response: aiohttp.ClientResponse) -> None:
        """Write down, now and then, how far its clock is from ours."""
        at = self._card.clock()
        if self._card.own("clock_at") and at - self._card.own("clock_at") < LOOK_EVERY:
            return
        if (seconds := ahead(response.headers, time.time())) is not None:
            self._card.write(clock_ahead=seconds, clock_at=at)

    def note_quota(self, response: aiohttp.ClientResponse) -> None:
        """Write down what it says is left of what it allows."""
        told = allowance(response.headers, time.time())
        if told is None:
            return
        now = self._card.clock()
        self._card.write(
            quota_left=told.remaining,
            quota_limit=told.limit or 0.0,
            quota_until=0.0 if told.seconds is None else now + max(0.001, told.seconds),
            quota_at=now,
        )


def _shown(headers: dict[str, str], authorization: str) -> dict[str, str]:
    return {**headers, "Authorization": authorization} if authorization else headers


def _bare(headers: dict[str, str]) -> dict[str, str]:
    """What another host may see: it is no part of our traces."""
    return {name: value for name, value in headers.items() if name not in HANDED_ON}
