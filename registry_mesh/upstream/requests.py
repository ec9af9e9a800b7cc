"""Requests to one parent, each with the redirects that it leads to, and what they tell of the parent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from registry_mesh.auth.hosts import same_place
from registry_mesh.ports.failures import (
    Failure,
    SourceErred,
    SourceHung,
    SourceLoops,
    SourceUnavailable,
    SourceUnreadable,
)
from registry_mesh.ports.hops import ONLY_IF_CACHED
from registry_mesh.tasks.turnstile import Turnstile
from registry_mesh.telemetry.instruments import Counter
from registry_mesh.telemetry.traces import HANDED_ON
from registry_mesh.upstream.health.causes import cause, is_ours
from registry_mesh.upstream.health.clocks import LOOK_EVERY, ahead
from registry_mesh.upstream.health.liveness import Silent
from registry_mesh.upstream.health.opinion import LEADS_BACK
from registry_mesh.upstream.health.parent import KnownParent
from registry_mesh.upstream.health.quota import allowance
from registry_mesh.upstream.redirects import REDIRECTS, redirected
from registry_mesh.upstream.statuses import counted_as, is_well
from registry_mesh.upstream.way import Client, url_of

LOOK: Final = 0.25
"""Seconds between two looks whether a parent of our kind, which is late, waits for this node itself."""

FIRST_LOOK: Final = 0.05
"""The same at first, where this node has just met the parent."""

MEETING: Final = 5.0
"""Seconds since a parent is up in which it may not know yet whom it asks itself."""

_OF_A_CONNECTION: Final = aiohttp.ServerDisconnectedError
"""A fault of one connection, that others need not have: it was closed meanwhile."""


Body = bytes | Callable[[], AsyncIterator[bytes]] | None
"""What a request brings; the callable begins anew with the bytes each time that it has to be sent."""


class Hung(SourceHung):
    """The parent answers pings, and a request not at all."""


class BrokeOff(SourceUnavailable):
    """The connection broke after the head of an answer, before the end of its body."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, without the credentials that are shown."""

    method: str
    url: str
    query: Mapping[str, str] | None
    headers: dict[str, str]
    body: Body = None
    seconds: float | None = None
    """That the head may take; None: as many as usual."""

    @property
    def target(self) -> URL:
        """The URL with the query."""
        url = url_of(self.url)
        return url.update_query(self.query) if self.query else url

    @property
    def held(self) -> bool:
        """Whether it asks only for what is there already."""
        return self.headers.get(ONLY_IF_CACHED[0]) == ONLY_IF_CACHED[1]

    def shown(self, authorization: str) -> Request:
        """For the parent's own host."""
        if not authorization:
            return self
        return replace(self, headers={**self.headers, "Authorization": authorization})

    def bare(self) -> Request:
        """For another host: what it may see is no part of our traces, and has no body."""
        headers = {name: value for name, value in self.headers.items() if name not in HANDED_ON}
        return replace(self, headers=headers, body=None)


class Requests:
    """What one parent is asked. `answers`: the counter of each word of `telemetry.names.ANSWERS`."""

    def __init__(self, client: Client, parent: KnownParent, answers: Mapping[str, Counter]) -> None:
        self._client = client
        self._parent = parent
        self._answers = answers
        self._given_up = Turnstile()

    async def send(
        self, stack: AsyncExitStack, request: Request, authorization: str
    ) -> aiohttp.ClientResponse:
        """One request and the redirects it leads to. Credentials, and a body, stay with the parent's own host and
        port."""
        for _ in range(REDIRECTS + 1):
            own = same_place(request.url, self._parent.url)
            self._parent.leave_alone(request.url)
            response = await self._timed(stack, request.shown(authorization) if own else request.bare(), own)
            if response.status not in (301, 302, 303, 307, 308):
                return response
            location = response.headers.get("Location", "")
            response.release()
            request = replace(request, url=self._led_to(request, location), query=None)
        raise SourceUnavailable(f"more than {REDIRECTS} redirects", source=self._parent.name)

    def _led_to(self, request: Request, location: str) -> str:
        """Where a redirect of a request leads; that it may not be followed is written down."""
        try:
            url = redirected(request.url, location, self._client.way, self._parent.name)
            if request.body is not None and not same_place(url, self._parent.url):
                raise SourceUnreadable(
                    f"leads what is sent to {urlsplit(url).netloc}, which is another server: name it in parents",
                    source=self._parent.name,
                )
            return url
        except SourceUnreadable as fault:
            self._parent.card.tell(fault.reason)
            raise

    async def _timed(self, stack: AsyncExitStack, request: Request, own: bool) -> aiohttp.ClientResponse:
        began, target = time.monotonic(), request.target
        try:
            response = await self._sent(request, target, own)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as fault:
            raise self._unreachable(fault, own) from None
        stack.push_async_exit(response)
        self._answers[counted_as(response.status, response.content_type, held=request.held)].add()
        if own:
            self._note(response, well=is_well(response.status, target.path, held=request.held), began=began)
        return response

    async def _sent(self, request: Request, target: URL, own: bool) -> aiohttp.ClientResponse:
        """The answer's head. Nothing is left under way where there is none. Of many that are given up at once a few end
        in each turn of the loop."""
        patience = self._parent.patience
        limit = aiohttp.ClientTimeout(total=None, sock_connect=patience.connect, sock_read=None)
        sending = asyncio.ensure_future(
            self._client.request(
                request.method,
                target,
                headers=request.headers,
                data=request.body() if callable(request.body) else request.body,
                allow_redirects=False,
                timeout=limit,
            )
        )
        try:
            if own:
                await self._alive(sending)
            return await self._answered(
                sending, patience.head if request.seconds is None else request.seconds
            )
        except BaseException as fault:
            try:
                if isinstance(fault, (Silent, Hung)):
                    await self._given_up.passed()
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    (await sending).close()  # an answer may have come meanwhile
            raise

    def _unreachable(self, fault: Exception, own: bool) -> Failure:
        """The failure that it is to have no answer. What no parser takes may be this one answer, or bytes of one before
        it: a ping decides what it says of the parent, as it does where the parent is silent."""
        self._answers["unreachable"].add()
        reason = f"no answer: {cause(fault)}"
        if isinstance(fault, aiohttp.ClientResponseError):
            if own:
                self._parent.card.tell(reason)
                self._parent.liveness.check()
            return SourceErred(reason, source=self._parent.name)
        if own and not isinstance(fault, Silent) and not is_ours(fault):
            self._parent.breaker.failed(reason, hard=not isinstance(fault, _OF_A_CONNECTION))
        return SourceUnavailable(reason, source=self._parent.name)

    def _note(self, response: aiohttp.ClientResponse, *, well: bool, began: float) -> None:
        """Write down what an answer of the parent's own host tells of it."""
        if well:
            self._parent.breaker.succeeded(time.monotonic() - began)
        else:
            self._parent.breaker.failed(f"answered {response.status}", hard=False)
        self.note_quota(response)
        self._note_clock(response)

    async def _alive(self, request: asyncio.Future[aiohttp.ClientResponse]) -> None:
        """See `Liveness.wait`. Of a parent of our kind, with which we have just met, it is asked again and again
        meanwhile whom it asks itself: nodes of a ring that meet all at once would wait for each other."""
        if not self._parent.mesh or self._parent.card.clock() - self._parent.card.known().up_since > MEETING:
            await self._parent.liveness.wait(request)
            return
        waiting = asyncio.ensure_future(self._parent.liveness.wait(request))
        pause = FIRST_LOOK
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=pause)
                if self._parent.leads_back:
                    raise SourceLoops(LEADS_BACK, source=self._parent.name)
                if not waiting.done():
                    self._parent.liveness.check()
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
            await asyncio.wait({request}, timeout=min(left, LOOK) if self._parent.mesh else left)
            if self._parent.leads_back:
                raise SourceLoops(LEADS_BACK, source=self._parent.name)
            if self._parent.mesh and not request.done():
                self._parent.liveness.check()  # it may have learned meanwhile that we are above it
        if not request.done():
            self._answers["unreachable"].add()
            raise Hung(f"alive, and no answer for {seconds:.0f} s", source=self._parent.name)
        return request.result()

    def _note_clock(self, response: aiohttp.ClientResponse) -> None:
        """Write down, now and then, how far its clock is from ours."""
        at = self._parent.card.clock()
        if self._parent.card.own("clock_at") and at - self._parent.card.own("clock_at") < LOOK_EVERY:
            return
        if (seconds := ahead(response.headers, time.time())) is not None:
            self._parent.card.write(clock_ahead=seconds, clock_at=at)

    def note_quota(self, response: aiohttp.ClientResponse) -> None:
        """Write down what it says is left of what it allows."""
        told = allowance(response.headers, time.time())
        if told is None:
            return
        now = self._parent.card.clock()
        self._parent.card.write(
            quota_left=told.remaining,
            quota_limit=told.limit or 0.0,
            quota_until=0.0 if told.seconds is None else now + max(0.001, told.seconds),
            quota_at=now,
        )
