"""One parent as an HTTP peer: its credentials, its time limits, and how it is doing.

Exceptions of aiohttp end here and in `upstream.requests`; its responses are handed on as `Answer`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Literal

import aiohttp

from registry_mesh.auth.challenge import parse_challenges
from registry_mesh.auth.hosts import same_place
from registry_mesh.ports.failures import (
    LoginRefused,
    SourceDenied,
    SourceLoops,
    SourceUnavailable,
)
from registry_mesh.ports.hops import HOPS, cdn_loop
from registry_mesh.ports.urgency import urgency
from registry_mesh.telemetry.instruments import Instruments, Layout, Table
from registry_mesh.telemetry.names import ANSWERS, UPSTREAM_BYTES, UPSTREAM_REQUESTS, Metric
from registry_mesh.telemetry.traces import asking
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.dialogue import Dialogue
from registry_mesh.upstream.heads import Heads
from registry_mesh.upstream.health.background import Background
from registry_mesh.upstream.health.board import Card
from registry_mesh.upstream.health.breaker import Breaker
from registry_mesh.upstream.health.causes import cause
from registry_mesh.upstream.health.explained import explained
from registry_mesh.upstream.health.hangs import Hangs, kind_of
from registry_mesh.upstream.health.liveness import Liveness, Patience
from registry_mesh.upstream.health.opinion import LEADS_BACK
from registry_mesh.upstream.health.retry_after import retry_after
from registry_mesh.upstream.health.throttles import Throttles
from registry_mesh.upstream.login.authorization import Authorization, Question
from registry_mesh.upstream.login.credentials import Credentials
from registry_mesh.upstream.login.logins import FixedLogin, Login
from registry_mesh.upstream.requests import Hung, Requests
from registry_mesh.upstream.statuses import fault_of, is_beside, lineage
from registry_mesh.upstream.way import Client, base_and_folder

Namespace = Literal["auto", "always", "never"]

LATE: Final = 0.7
"""Seconds to an answer's head after which another parent is asked as well; eight times the usual latency, if more."""

LATE_AT_FIRST: Final = 2.0
"""The same for a parent that has not answered yet: it may be far away."""


class ParentSession:
    """Requests to one parent, with its credentials and tokens, and its breaker."""

    def __init__(
        self,
        session: Client,
        url: str,
        login: Login | Credentials | None = None,
        patience: Patience | None = None,
        instruments: Instruments | None = None,
        token_service: str = "",
        ns: Namespace = "auto",
        card: Card | None = None,
        received: Metric = UPSTREAM_BYTES,
    ) -> None:
        """`instruments`: laid out with this parent's `name` among the values of the label `parent`. `token_service`:
        the URL of the only one that may be told the login. `ns`: whether the registry is named to it; `auto`: where it
        is one of ours. `card`: where the node's opinion of it is kept; None: this session has its own.
        `received`: what counts bytes of bodies."""
        self.url, self.folder = base_and_folder(url)
        self.name = url.rstrip("/").partition("://")[2]
        self._ns = ns
        for configured in filter(None, (url, token_service)):
            session.way.admit(configured)
        instruments = instruments or Table(Layout(values={"parent": [self.name]}), 1).row(0)
        self._answers = {a: instruments.counter(UPSTREAM_REQUESTS, self.name, a) for a in ANSWERS}
        self._received = instruments.counter(received, self.name)
        self._card = card or Card.alone()
        self.breaker = Breaker(card=self._card)
        self.mesh: bool | None = None
        """Whether it is one of ours; None: it has not answered yet."""
        self.heads = Heads()
        self.inflight = 0
        self._unanswered = 0
        self.received = 0
        """Bytes of bodies, by this session."""
        self._session = session
        self._patience = patience or Patience()
        login = FixedLogin(login) if isinstance(login, Credentials) else login
        self._authorization = Authorization(session, self.url, login, token_service, self._patience.connect)
        self.liveness = Liveness(self._ping, self._patience, self.breaker, self._card)
        self.hangs = Hangs()
        self._background = Background(self.name, self._card)
        self._throttles = Throttles(self.url, self._card)
        self._requests = Requests(
            session,
            self.url,
            self.name,
            self._patience,
            self.breaker,
            self.liveness,
            self._throttles,
            self._card,
            lambda: bool(self.mesh),
            self._answers,
        )

    @property
    def available(self) -> bool:
        """Whether requests go to the parent: it is not down, not silent, and does not lead back here."""
        return not self.breaker.open and not self.liveness.silent and not self._card.known().leads_back

    @property
    def reason(self) -> str:
        """See `ports.parents.Parent`."""
        if self.breaker.open:
            return self.breaker.told
        if self._card.known().leads_back:
            return LEADS_BACK
        return self.liveness.told if self.liveness.silent else ""

    @property
    def confirmed(self) -> bool:
        """Whether it has ever answered, and is not down."""
        return self.breaker.confirmed

    @property
    def lost(self) -> bool:
        """See `ports.parents.Parent`."""
        return self.breaker.lost

    @property
    def stall(self) -> float:
        """Seconds for which a body may stand still."""
        return self._patience.stall

    @property
    def drip(self) -> float:
        """Seconds for which a body may drip."""
        return self._patience.drip

    @property
    def latency(self) -> float:
        """See `ports.parents.Parent`."""
        return self.breaker.latency

    @property
    def met_at(self) -> float:
        """When it told last what a ping is answered with: of a node of ours also whom it asks itself."""
        return self._card.known().named_at if self.mesh else self.breaker.last_success

    @property
    def late(self) -> float:
        """See `ports.parents.Parent`."""
        usual = 8 * self.breaker.latency
        return max(LATE, usual) if usual else LATE_AT_FIRST

    @property
    def load(self) -> float:
        """What one more request is expected to cost: latency in seconds, times the requests under way and this one."""
        return (self.breaker.latency + 0.001) * (1 + self.inflight)

    def heard(self, size: int) -> None:
        """Bytes of a body came from it."""
        self._received.add(size)
        self.received += size
        self.liveness.heard()
        if not urgency().background:
            self._card.serve()

    @property
    def busy(self) -> bool:
        """See `ports.parents.Parent`."""
        return self._background.busy

    def __repr__(self) -> str:
        return f"<Parent {self.name} {self.breaker!r}>"

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        beyond: float = 0.0,
    ) -> AsyncIterator[Answer]:
        """An answer whose status is below 500 and neither 401, 403 nor 429, nor 304 where `headers` have no
        If-None-Match; to HEAD also those of `REFUSES_HEAD`. Failures are raised. `beyond`: seconds that the head may
        take more than usual, for what the parent has to do before it."""
        url, kind = self.url + path, kind_of(path)
        self._leave_alone(url, kind)
        self._background.admit(urgency())
        self.inflight += 1
        try:
            asked = await self._named(query or {})
            question = Question((query or {}).get("ns", ""), scope)
            async with AsyncExitStack() as stack:
                if self._card.known().leads_back:
                    raise SourceLoops(LEADS_BACK, source=self.name)
                asked_for = stack.enter_context(asking(method, path, kind, self.name))
                sent = {**(headers or {}), **asked_for.headers}
                if self.mesh and self._card.node:
                    sent["CDN-Loop"] = cdn_loop(self._card.node)
                answer = self._authorized(stack, method, url, question, asked, sent, body, beyond)
                response = await self._waited_for(answer)
                asked_for.answered(response.status)
                self.hangs.answered(kind)
                self._recognise(response)
                if hops := HOPS.get():
                    hops.note(response.headers.getall("Cache-Status", []))
                yield Answer(response, self)
        except Hung:
            self.hangs.hung(kind, self._patience.head)
            self._card.tell(
                f"no answer to requests for {kind} for {self._patience.head:.0f} s, though it is alive"
            )
            raise
        except (TimeoutError, aiohttp.ClientError, OSError) as fault:
            raise SourceUnavailable(f"broke off: {cause(fault)}", source=self.name) from fault
        finally:
            self.inflight -= 1

    def _leave_alone(self, url: str, kind: str) -> None:
        """Raise where nothing, or nothing of that kind, is to be asked of it now: `SourceUnavailable`, and
        `SourceThrottled` where it asked for patience."""
        if reason := self.hangs.refuses(kind):
            raise SourceUnavailable(reason, source=self.name)
        self._requests.leave_alone(url)
        if self._unanswered >= self._patience.unanswered:
            raise SourceUnavailable(f"leaves {self._unanswered} requests without an answer", source=self.name)

    @property
    def throttled(self) -> bool:
        """Whether it asked to be left alone, and its time has not come."""
        return self._throttles.left(self.url) is not None

    async def _named(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """The query without `ns` where the parent is none of ours: it need not know the parameter, and some refuse
        what they do not know."""
        if "ns" not in query or self._ns == "always":
            return query
        if self._ns == "auto" and self.mesh is None:
            await self.answers()
        if self._ns == "auto" and self.mesh is None:
            raise SourceUnavailable(self.breaker.reason or "has not answered yet", source=self.name)
        if self._ns == "auto" and self.mesh:
            return query
        return {key: value for key, value in query.items() if key != "ns"}

    async def _waited_for(
        self, answer: Coroutine[None, None, aiohttp.ClientResponse]
    ) -> aiohttp.ClientResponse:
        self._unanswered += 1
        try:
            return await answer
        finally:
            self._unanswered -= 1

    async def _authorized(
        self,
        stack: AsyncExitStack,
        method: str,
        url: str,
        question: Question,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        body: bytes | None,
        beyond: float,
    ) -> aiohttp.ClientResponse:
        try:
            return await self._let_in(stack, method, url, question, query, headers, body, beyond)
        except LoginRefused as refused:
            self._card.deny(refused.reason)
            raise

    async def _let_in(
        self,
        stack: AsyncExitStack,
        method: str,
        url: str,
        question: Question,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        body: bytes | None,
        beyond: float,
    ) -> aiohttp.ClientResponse:
        dialogue = Dialogue(self._authorization, question)
        await dialogue.begin()
        while True:
            response = await self._requests.send(
                stack, method, url, query, headers, dialogue.header, body, beyond
            )
            if response.status not in (401, 403):
                dialogue.passed()
                if dialogue.header:
                    self._card.let_in()
                why = (
                    await explained(response)
                    if response.status in (503, 508) and self._ours(response)
                    else ""
                )
                return self._checked(response, headers, why)
            challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
            response.release()
            if not same_place(str(response.url), self.url):
                raise SourceDenied(f"answered {response.status} where it led to", source=self.name)
            if not await dialogue.refused(response.status, challenges):
                raise dialogue.failure(response.status)

    async def close(self) -> None:
        """End what runs for it."""
        await self._authorization.close()

    async def ping(self) -> bool:
        """Whether the parent answers at all, soon; one ping is out at a time."""
        return await asyncio.shield(self.liveness.check())

    async def answers(self) -> bool:
        """Whether the parent answers a ping before it is taken for silent."""
        return await self.liveness.answers()

    async def back(self) -> bool:
        """See `ports.parents.Parent`."""
        if self.throttled or self._card.known().leads_back:
            return False
        return await self.liveness.back()

    async def _ping(self) -> bool:
        """GET /v2/ on a connection of its own."""
        try:
            async with self._session.request(
                "GET", self.url + "/v2/", headers={"Connection": "close"}, allow_redirects=False
            ) as response:
                self._recognise(response)
                self._requests.note_quota(response)
                self._card.name(lineage(response.headers))
                self._card.base(_no_registry(response))
                return response.status < 500
        except (aiohttp.ClientError, ValueError) as fault:
            raise OSError(cause(fault)) from fault

    def _recognise(self, response: aiohttp.ClientResponse) -> None:
        self.mesh = self._ours(response)

    def _ours(self, response: aiohttp.ClientResponse) -> bool:
        return "Registry-Mesh" in response.headers or bool(self.mesh)

    def _checked(
        self, response: aiohttp.ClientResponse, sent: Mapping[str, str], why: str
    ) -> aiohttp.ClientResponse:
        """The answer, where its status says nothing against the parent; else the failure is raised. `why`: what it says
        itself."""
        wait = None
        if response.status in (429, 503):
            wait = retry_after(response.headers, time.time())
            self._note_throttle(response, wait)
        conditional = "If-None-Match" in sent
        fault = fault_of(
            response.method, response.status, conditional=conditional, why=why, wait=wait, source=self.name
        )
        if fault is not None:
            raise fault
        return response

    def _note_throttle(self, response: aiohttp.ClientResponse, wait: float | None) -> None:
        """Leave the host alone for `wait` seconds. Not so a node of the mesh, which speaks of the one thing that it
        could not fetch and asks its own parent no more than it may; nor a registry whose referrers alone are in
        trouble."""
        self._recognise(response)
        if self.mesh or (response.status == 503 and is_beside(response.url.path)):
            return
        self._throttles.note(str(response.url), response.status, wait)


def _no_registry(response: aiohttp.ClientResponse) -> int:
    """The status of an answer to GET /v2/ that no registry gives; 0 for one that a registry may give."""
    page = response.status == 200 and response.content_type == "text/html"
    return response.status if response.status == 404 or page else 0
