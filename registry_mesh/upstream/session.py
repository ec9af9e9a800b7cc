"""One parent as an HTTP peer: requests to it with its credentials, and what its answers tell of it.

Exceptions of aiohttp end here and in `upstream.requests`; its responses are handed on as `Answer`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Literal

import aiohttp

from registry_mesh.auth.challenge import Challenge, parse_challenges
from registry_mesh.auth.hosts import same_place
from registry_mesh.ports.cut_off import CUT_OFF, parsed, written
from registry_mesh.ports.failures import (
    LoginRefused,
    SourceDenied,
    SourceLoops,
    SourceUnavailable,
)
from registry_mesh.ports.hops import HOPS, cdn_loop
from registry_mesh.telemetry.instruments import Counter, Instruments, Layout, Table
from registry_mesh.telemetry.names import (
    ANSWERS,
    OTHER,
    SIBLING_BYTES,
    UPSTREAM_BYTES,
    UPSTREAM_REQUESTS,
    Metric,
)
from registry_mesh.telemetry.traces import Asking, asking
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.dialogue import Dialogue
from registry_mesh.upstream.heads import PATIENCE, Heads
from registry_mesh.upstream.health.board import Card
from registry_mesh.upstream.health.causes import cause
from registry_mesh.upstream.health.explained import explained
from registry_mesh.upstream.health.hangs import kind_of
from registry_mesh.upstream.health.liveness import Patience
from registry_mesh.upstream.health.opinion import LEADS_BACK
from registry_mesh.upstream.health.parent import KnownParent
from registry_mesh.upstream.health.retry_after import retry_after
from registry_mesh.upstream.health.welcome import WelcomeCard
from registry_mesh.upstream.login.authorization import Authorization, Question
from registry_mesh.upstream.login.credentials import Credentials
from registry_mesh.upstream.login.demands import REFUSED, Demands
from registry_mesh.upstream.login.logins import FixedLogin, Login
from registry_mesh.upstream.requests import Body, BrokeOff, Hung, Request, Requests
from registry_mesh.upstream.statuses import OWN_NODE, fault_of, is_beside, lineage, no_registry, turned_away
from registry_mesh.upstream.way import Client, base_and_folder

Namespace = Literal["auto", "always", "never"]


class ParentSession:
    """Requests to one parent, with its credentials and tokens. `parent` is what is known of it."""

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
        near: str = "",
        welcome: WelcomeCard | None = None,
    ) -> None:
        """`instruments`: laid out with this parent's `name` among the values of the label `parent`. `token_service`:
        the URL of the only one that may be told the login. `ns`: whether the registry is named to it; `auto`: where it
        is one of ours. `card`: where the node's opinion of it is kept; None: this session has its own.
        `near`: see `Provenance.near`; such bytes are counted apart. `welcome`: where it is kept how the login is
        taken."""
        self.url, self.folder = base_and_folder(url)
        self.name = url.rstrip("/").partition("://")[2]
        self._ns = ns
        for configured in filter(None, (url, token_service)):
            session.way.admit(configured)
        instruments = instruments or Table(Layout(values={"parent": [self.name]}), 1).row(0)
        patience = patience or Patience()
        self.parent = KnownParent(
            self.name,
            self.url,
            self._ping,
            patience,
            card or Card.alone(),
            partial(_counter, instruments, SIBLING_BYTES if near else UPSTREAM_BYTES, self.name),
            near,
        )
        self.heads = Heads()
        self.welcome = welcome or WelcomeCard.alone()
        self._session = session
        login = FixedLogin(login) if isinstance(login, Credentials) else login
        self._authorization = Authorization(session, self.url, login, token_service, patience.connect)
        answers = {each: instruments.counter(UPSTREAM_REQUESTS, self.name, each) for each in ANSWERS}
        self._requests = Requests(session, self.parent, answers)
        self._demands = Demands(self._at_base)

    @property
    def mesh(self) -> bool | None:
        """Whether the parent is one of ours; None: it has not answered yet."""
        return self.parent.mesh

    def __repr__(self) -> str:
        return repr(self.parent)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        beyond: float = 0.0,
        registry: str = "",
    ) -> AsyncIterator[Answer]:
        """An answer whose status is below 500 and neither 401, 403 nor 429, nor 304 where `headers` have no
        If-None-Match; to HEAD also those of `REFUSES_HEAD`. Failures are raised. `beyond`: seconds that the head may
        take more than usual, for what the parent has to do before it. `registry`: whose bytes come, to be counted."""
        parent, kind = self.parent, kind_of(path)
        instead = method == "HEAD" and not parent.mesh  # then GET can be asked
        waited_for, seconds = f"{kind} by HEAD" if instead else kind, parent.patience.head + beyond
        seconds = seconds / PATIENCE if instead else seconds
        parent.admit(waited_for)
        parent.inflight += 1
        try:
            named = await self._named(query or {})
            request = Request(method, self.url + path, named, dict(headers or {}), body, seconds)
            question = Question((query or {}).get("ns", ""), scope)
            async with AsyncExitStack() as stack:
                answered = stack.enter_context(parent.asked())
                response = await self._open(stack, request, question, asking(method, path, kind, self.name))
                parent.hangs.answered(waited_for)
                if method == "HEAD" or response.content_length == 0:
                    answered()
                yield Answer(response, parent, registry, answered)
        except Hung:
            parent.hangs.hung(waited_for, seconds)
            parent.card.tell(
                f"no answer to requests for {waited_for} for {seconds:.0f} s, though it is alive"
            )
            raise
        except (TimeoutError, aiohttp.ClientError, OSError) as fault:
            raise BrokeOff(f"broke off: {cause(fault)}", source=self.name) from fault
        finally:
            parent.inflight -= 1

    async def _open(
        self,
        stack: AsyncExitStack,
        request: Request,
        question: Question,
        trace: AbstractContextManager[Asking],
    ) -> aiohttp.ClientResponse:
        """The answer to a request, with all that passes between nodes of the mesh said and heard."""
        parent = self.parent
        if parent.leads_back:
            raise SourceLoops(LEADS_BACK, source=self.name)
        asked = stack.enter_context(trace)
        fields = {**request.headers, **asked.headers}
        if parent.mesh and parent.card.node:
            fields["CDN-Loop"] = cdn_loop(parent.card.node)
        response = await self._authorized(stack, replace(request, headers=fields), question)
        asked.answered(response.status)
        self._recognise(response)
        if hops := HOPS.get():
            hops.note(response.headers.getall("Cache-Status", []))
        return response

    async def _named(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """The query without `ns` where the parent is none of ours: it need not know the parameter, and some refuse
        what they do not know."""
        if "ns" not in query or self._ns == "always":
            return query
        if self._ns == "auto" and self.mesh is None:
            await self.parent.answers()
        if self._ns == "auto" and self.mesh is None:
            raise SourceUnavailable(self.parent.breaker.reason or "has not answered yet", source=self.name)
        if self._ns == "auto" and self.mesh:
            return query
        return {key: value for key, value in query.items() if key != "ns"}

    async def _authorized(
        self, stack: AsyncExitStack, request: Request, question: Question
    ) -> aiohttp.ClientResponse:
        try:
            return await self._let_in(stack, request, question)
        except LoginRefused as refused:
            self.welcome.deny(refused.reason)
            raise

    async def _let_in(
        self, stack: AsyncExitStack, request: Request, question: Question
    ) -> aiohttp.ClientResponse:
        dialogue = Dialogue(self._authorization, question)
        await dialogue.begin()
        while True:
            response = await self._requests.send(stack, request, dialogue.header)
            elsewhere = response.status >= 400 and not same_place(str(response.url), self.url)
            demanded = await self._demands.of(
                response.status,
                response.headers.getall("WWW-Authenticate", []),
                shown=bool(dialogue.header) or elsewhere,
                hides=self._authorization.login is not None and not self.mesh,
            )
            if demanded is not None:
                why = await explained(response) if _is_push(request, question) else ""
                response.release()
                if elsewhere:
                    raise SourceDenied(f"answered {response.status} where it led to", source=self.name)
                if await dialogue.refused(response.status, demanded):
                    continue
                if response.status in REFUSED:
                    self.welcome.refuse(f"answered {response.status}")
                    raise dialogue.failure(response.status, why)
            dialogue.passed()
            if dialogue.header:
                self.welcome.let_in()
            if response.ok:
                self.welcome.gave()
            ours = response.status in (503, 508) and self._ours(response)
            return self._checked(response, request.headers, await explained(response) if ours else "")

    async def _at_base(self) -> Sequence[Challenge]:
        async with AsyncExitStack() as stack:
            response = await self._requests.send(stack, Request("GET", self.url + "/v2/", None, {}), "")
            return parse_challenges(response.headers.getall("WWW-Authenticate", []))

    async def close(self) -> None:
        """End what runs for it."""
        await self._authorization.close()

    async def _ping(self) -> bool:
        """GET /v2/ on a connection of its own."""
        try:
            async with self._session.request(
                "GET", self.url + "/v2/", headers={"Connection": "close"}, allow_redirects=False
            ) as response:
                self._recognise(response)
                self._requests.note_quota(response)
                self.parent.card.name(lineage(response.headers))
                self._note_base(response)
                return response.status < 500
        except (aiohttp.ClientError, ValueError) as fault:
            raise OSError(cause(fault)) from fault

    def _note_base(self, response: aiohttp.ClientResponse) -> None:
        """What an answer to GET /v2/ says of what else would be answered."""
        welcome, has_login = self.welcome, self._authorization.login is not None
        challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
        away = turned_away(response.status, challenges, login=has_login)
        self.parent.card.base(no_registry(response.status, response.content_type))
        welcome.base(away)
        if away and not has_login and not welcome.has_given:
            welcome.refuse(f"answers /v2/ with {away}")

    def _recognise(self, response: aiohttp.ClientResponse) -> None:
        self.parent.mesh = self._ours(response)
        if OWN_NODE in response.headers:
            self.parent.card.cut_off(written(parsed(response.headers.get(CUT_OFF, ""))))
        elif response.status < 500 and self.parent.card.may_be_back:
            self.parent.liveness.check()  # its answer to a ping tells

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
        self.parent.throttles.note(str(response.url), response.status, wait)


def _is_push(request: Request, question: Question) -> bool:
    """Whether it is part of one: where it is refused, who has to mend that is told what the registry says of it."""
    return request.method != "HEAD" and "pull,push" in question.scope


def _counter(instruments: Instruments, received: Metric, name: str, registry: str) -> Counter:
    """What counts bytes of bodies of the parent of that name, for a registry."""
    return instruments.counter(
        received, registry if instruments.has(received, registry, name) else OTHER, name
    )
