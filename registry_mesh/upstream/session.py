"""One parent as an HTTP peer: requests, redirects, credentials, time limits.

The only place where the aiohttp client is asked for anything. Its exceptions end here; its responses are handed on as
`Answer`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, Literal
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from registry_mesh import __version__
from registry_mesh.auth.challenge import parse_challenges
from registry_mesh.auth.hosts import place, same_place
from registry_mesh.ports.failures import (
    SourceDenied,
    SourceErred,
    SourceLied,
    SourceLoops,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
)
from registry_mesh.ports.hops import HOPS, cdn_loop
from registry_mesh.telemetry.instruments import Instruments, Layout, Table
from registry_mesh.telemetry.names import ANSWERS, UPSTREAM_BYTES, UPSTREAM_REQUESTS
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.authorization import Authorization, Question
from registry_mesh.upstream.board import Card
from registry_mesh.upstream.breaker import Breaker
from registry_mesh.upstream.causes import cause
from registry_mesh.upstream.credentials import Credentials
from registry_mesh.upstream.dialogue import Dialogue
from registry_mesh.upstream.explained import explained
from registry_mesh.upstream.hangs import Hangs, kind_of
from registry_mesh.upstream.heads import Heads
from registry_mesh.upstream.liveness import Liveness, Patience, Silent
from registry_mesh.upstream.logins import FixedLogin, Login
from registry_mesh.upstream.opinion import LEADS_BACK
from registry_mesh.upstream.quota import allowance
from registry_mesh.upstream.retry_after import retry_after
from registry_mesh.upstream.throttles import Throttles
from registry_mesh.upstream.way import Client, NotingResolver, Way, base_and_folder

REDIRECTS: Final = 5


_OF_A_CONNECTION: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientResponseError)
"""Faults of one connection, that others need not have: it was closed meanwhile, or holds bytes of an answer before."""

REFUSES_HEAD: Final = frozenset({400, 404, 405, 501})
"""Statuses by which HEAD is refused where GET is not: the registry itself, the proxy before it, or the store that it
redirects to by addresses signed for GET alone. Given to whoever asked."""

Namespace = Literal["auto", "always", "never"]
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*|[0-9a-f:.]+")

LATE: Final = 0.7
"""Seconds to an answer's head after which another parent is asked as well; eight times the usual latency, if more."""

LATE_AT_FIRST: Final = 2.0
"""The same for a parent that has not answered yet: it may be far away."""


LOOPS: Final = "its way to what was asked for leads back here, so nodes are each other's parents"

_NODE: Final = re.compile(r"[0-9a-f]{16}")


LOOK: Final = 0.25
"""Seconds between two looks whether a parent of our kind, which is late, waits for this node itself."""


class _Hung(SourceUnavailable):
    """The parent answers pings, and a request not at all."""


_BESIDE: Final = re.compile(r"/.+/(?:referrers/[^/]+|manifests/sha(?:256|512)-[0-9a-f]{64})")
"""Referrers, by the API or by the tag: a parent that is broken there alone is well for all else."""
_ANSWERED: Final = {304: "not_modified", 404: "unknown", 401: "denied", 403: "denied", 429: "throttled"}


def open_session(way: Way | None = None) -> Client:
    """A client session with the traps set right: no total time limit (it kills a 60 GB pull), no decompression
    and none asked for (a blob must arrive as it is), long header lines for signed redirects.

    There are as many connections as there are streams: who waited for one would look to us as if the parent did not
    answer, and so would the ping that asks after it. Streams are bounded by the clients that are served."""
    way = way or Way()
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            limit_per_host=0,
            ttl_dns_cache=60,
            resolver=NotingResolver(way),
            socket_factory=lambda found: way.connecting(found[0], found[1], found[2], found[4]),
        ),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "Accept", "User-Agent"),
        headers={"User-Agent": f"registry-mesh/{__version__}", "Accept-Encoding": "identity"},
        requote_redirect_url=False,
        read_bufsize=1 << 20,
        max_line_size=64 << 10,
        max_field_size=64 << 10,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    return Client(http, way)


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
    ) -> None:
        """`instruments`: laid out with this parent's `name` among the values of the label `parent`. `token_service`:
        the URL of the only one that may be told the login. `ns`: whether the registry is named to it; `auto`: where it
        is one of ours. `card`: where the node's opinion of it is kept; None: this session has its own."""
        self.url, self.folder = base_and_folder(url)
        self.name = url.rstrip("/").partition("://")[2]
        self._ns = ns
        for configured in filter(None, (url, token_service)):
            session.way.admit(configured)
        instruments = instruments or Table(Layout(values={"parent": [self.name]}), 1).row(0)
        self._answers = {a: instruments.counter(UPSTREAM_REQUESTS, self.name, a) for a in ANSWERS}
        self._received = instruments.counter(UPSTREAM_BYTES, self.name)
        self._card = card or Card.alone()
        self.breaker = Breaker(card=self._card)
        self.mesh: bool | None = None
        """Whether it is one of ours; None: it has not answered yet."""
        self.heads = Heads()
        self.inflight = 0
        self.received = 0
        """Bytes of bodies, by this session."""
        self._session = session
        self._patience = patience or Patience()
        login = FixedLogin(login) if isinstance(login, Credentials) else login
        self._authorization = Authorization(session, self.url, login, token_service, self._patience.connect)
        self.liveness = Liveness(self._ping, self._patience, self.breaker, self._card)
        self.hangs = Hangs()
        self._throttles = Throttles(self.url, self._card)

    @property
    def available(self) -> bool:
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
        return self.breaker.confirmed

    @property
    def stall(self) -> float:
        """Seconds for which a body may stand still."""
        return self._patience.stall

    @property
    def drip(self) -> float:
        """Seconds for which a body may drip."""
        return self._patience.drip

    @property
    def late(self) -> float:
        """See `ports.parents.Parent`."""
        usual = 8 * self.breaker.latency
        return max(LATE, usual) if usual else LATE_AT_FIRST

    @property
    def load(self) -> float:
        return (self.breaker.latency + 0.001) * (1 + self.inflight)

    def heard(self, size: int) -> None:
        """Bytes of a body came from it."""
        self._received.add(size)
        self.received += size
        self.liveness.heard()

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
    ) -> AsyncIterator[Answer]:
        """An answer whose status is below 500 and neither 401, 403 nor 429, nor 304 where `headers` have no
        If-None-Match; to HEAD also those of `REFUSES_HEAD`. Failures are raised."""
        url, kind = self.url + path, kind_of(path)
        if reason := self.hangs.refuses(kind):
            raise SourceUnavailable(reason, source=self.name)
        self._leave_alone(url)
        self.inflight += 1
        try:
            asked = await self._named(query or {})
            question = Question((query or {}).get("ns", ""), scope)
            async with AsyncExitStack() as stack:
                if self._card.known().leads_back:
                    raise SourceLoops(LEADS_BACK, source=self.name)
                sent = dict(headers or {})
                if self.mesh and self._card.node:
                    sent["CDN-Loop"] = cdn_loop(self._card.node)
                response = await self._authorized(stack, method, url, question, asked, sent)
                self.hangs.answered(kind)
                self._recognise(response)
                if hops := HOPS.get():
                    hops.note(response.headers.getall("Cache-Status", []))
                yield Answer(response, self)
        except _Hung:
            self.hangs.hung(kind, self._patience.head)
            self._card.tell(
                f"no answer to requests for {kind} for {self._patience.head:.0f} s, though it is alive"
            )
            raise
        except (TimeoutError, aiohttp.ClientError, OSError) as fault:
            raise SourceUnavailable(f"broke off: {cause(fault)}", source=self.name) from fault
        finally:
            self.inflight -= 1

    @property
    def throttled(self) -> bool:
        """Whether it asked to be left alone, and its time has not come."""
        return self._throttles.left(self.url) is not None

    def _leave_alone(self, url: str) -> None:
        """Raise `SourceThrottled` where the host of `url` asked for patience."""
        if (held := self._throttles.left(url)) is not None:
            status, left = held
            raise SourceThrottled(
                f"answered {status} and asked for patience, is asked again in {left:.0f} s",
                source=self.name,
                retry_after=left,
            )

    async def _named(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """The query without `ns` where the parent is none of ours: it need not know the parameter, and some refuse
        what they do not know."""
        if "ns" not in query or self._ns == "always":
            return query
        if self._ns == "auto" and self.mesh is None:
            await self.ping()
        if self._ns == "auto" and self.mesh is None:
            raise SourceUnavailable(self.breaker.reason or "has not answered yet", source=self.name)
        if self._ns == "auto" and self.mesh:
            return query
        return {key: value for key, value in query.items() if key != "ns"}

    async def _authorized(
        self,
        stack: AsyncExitStack,
        method: str,
        url: str,
        question: Question,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
    ) -> aiohttp.ClientResponse:
        dialogue = Dialogue(self._authorization, question)
        await dialogue.begin()
        while True:
            response = await self._send(stack, method, url, query, headers, dialogue.header)
            if response.status not in (401, 403):
                dialogue.passed()
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

    async def _send(
        self,
        stack: AsyncExitStack,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        authorization: str,
    ) -> aiohttp.ClientResponse:
        """One request and the redirects it leads to. Credentials stay with the parent's own host and port."""
        for _ in range(REDIRECTS + 1):
            own = same_place(url, self.url)
            self._leave_alone(url)
            sent = {**headers, "Authorization": authorization} if authorization and own else headers
            response = await self._timed(stack, method, url, query, sent, own)
            if response.status not in (301, 302, 303, 307, 308):
                return response
            location = response.headers.get("Location", "")
            response.release()
            url, query = self._follow(url, location), None
        raise SourceUnavailable(f"more than {REDIRECTS} redirects", source=self.name)

    def _follow(self, url: str, location: str) -> str:
        """Where a redirect leads: to an address that can be read, that is no less safe, and that does not lie inside a
        network unless it is named."""
        try:
            target = urljoin(url, location)
            URL(target, encoded=True)
        except ValueError:
            target = ""
        there, here = place(target), urlsplit(url)
        if not location or there is None or not _HOST.fullmatch(there[1]):
            raise SourceLied(f"redirects to no http address: {location[:200]!r}", source=self.name)
        if here.scheme == "https" and there[0] == "http":
            raise SourceLied("redirects from https to http", source=self.name)
        if not self._session.way.may_lead_to(target):
            raise SourceLied(
                f"redirects into a network, to {there[1]}:{there[2]}: if that is right, name it in redirects",
                source=self.name,
            )
        return target

    async def _timed(
        self,
        stack: AsyncExitStack,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        own: bool,
    ) -> aiohttp.ClientResponse:
        began = time.monotonic()
        limit = aiohttp.ClientTimeout(total=None, sock_connect=self._patience.connect, sock_read=None)
        target = URL(url, encoded=True)
        if query:
            target = target.update_query(query)
        request = asyncio.ensure_future(
            self._session.request(method, target, headers=headers, allow_redirects=False, timeout=limit)
        )
        try:
            if own:
                await self.liveness.wait(request)
            response = await self._answered(request)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as fault:
            self._answers["unreachable"].add()
            reason = f"no answer: {cause(fault)}"
            if own and not isinstance(fault, Silent):  # of that the ping decides
                self.breaker.failed(reason, hard=not isinstance(fault, _OF_A_CONNECTION))
            raise SourceUnavailable(reason, source=self.name) from None
        finally:
            if not request.done():
                request.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await request
        stack.push_async_exit(response)
        self._answers[_ANSWERED.get(response.status, "error" if response.status >= 400 else "ok")].add()
        if (
            own
            and response.status >= 500
            and response.status not in (501, 508)
            and not _BESIDE.fullmatch(target.path)
        ):
            self.breaker.failed(f"answered {response.status}", hard=False)
        elif own:
            self.breaker.succeeded(time.monotonic() - began)
        if own:
            self._note_quota(response)
        return response

    def _note_quota(self, response: aiohttp.ClientResponse) -> None:
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

    async def close(self) -> None:
        """End what runs for it."""
        await self._authorization.close()

    async def _answered(self, request: asyncio.Future[aiohttp.ClientResponse]) -> aiohttp.ClientResponse:
        """The answer of a parent that is alive; `_Hung` where none comes."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience.head
        while not request.done() and (left := until - loop.time()) > 0:
            await asyncio.wait({request}, timeout=min(left, LOOK) if self.mesh else left)
            if self._card.known().leads_back:
                raise SourceLoops(LEADS_BACK, source=self.name)
            if self.mesh and not request.done():
                self.liveness.check()  # it may have learned meanwhile that we are above it
        if not request.done():
            self._answers["unreachable"].add()
            raise _Hung(f"alive, and no answer for {self._patience.head:.0f} s", source=self.name)
        return request.result()

    async def ping(self) -> bool:
        """Whether the parent answers at all, soon; one ping is out at a time."""
        return await asyncio.shield(self.liveness.check())

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
                self._note_quota(response)
                self._card.name(_lineage(response))
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
        """Statuses that say something of the parent, not of the thing asked for, become failures. `why`: what it says
        itself."""
        status = response.status
        told = f"answered {status}" + (f": {why}" if why else "")
        if status == 304 and "If-None-Match" not in sent:
            raise SourceLied("answered 304 to what was asked without a condition", source=self.name)
        if response.method == "HEAD" and status in REFUSES_HEAD:
            return response
        if status in (429, 503):
            wait = retry_after(response.headers, time.time())
            self._note_throttle(response, wait)
            raise (SourceThrottled if status == 429 else SourceUnavailable)(
                told, source=self.name, retry_after=wait
            )
        if status == 508:
            raise SourceLoops(told if why else f"{told}: {LOOPS}", source=self.name)
        if status in (500, 501):
            raise (SourceErred if status == 500 else SourceRefused)(f"answered {status}", source=self.name)
        if status >= 500 or status == 408:
            raise SourceUnavailable(f"answered {status}", source=self.name)
        return response

    def _note_throttle(self, response: aiohttp.ClientResponse, wait: float | None) -> None:
        """Leave the host alone for `wait` seconds. Not so a node of the mesh, which speaks of the one thing that it
        could not fetch and asks its own parent no more than it may; nor a registry whose referrers alone are in
        trouble."""
        self._recognise(response)
        if self.mesh or (response.status == 503 and _BESIDE.fullmatch(response.url.path)):
            return
        self._throttles.note(str(response.url), response.status, wait)


def _lineage(response: aiohttp.ClientResponse) -> list[str]:
    """The node that answers and the nodes above it, where it is one of ours and says so."""
    own, above = (response.headers.get(f"Registry-Mesh-{which}", "") for which in ("Node", "Above"))
    return [node for node in (own, *above.split()) if _NODE.fullmatch(node)] if own else []
