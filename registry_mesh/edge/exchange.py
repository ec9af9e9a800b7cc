"""One request and its answer on their way through the edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from registry_mesh.auth.access import Action, Asked, Decision, Verdict
from registry_mesh.auth.certified import stated
from registry_mesh.edge import head
from registry_mesh.edge.call import Call
from registry_mesh.edge.faults import BodyTimeout, ExpectationFailed
from registry_mesh.edge.head import Fields
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.patience import SLOWEST, Laggards
from registry_mesh.edge.settings import Settings
from registry_mesh.edge.wire.connection import Connection
from registry_mesh.edge.wire.sending import Wire
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import RequestInvalid, SizeInvalid, Unsupported
from registry_mesh.ports.blobs import PIECE, Provenance, Slices
from registry_mesh.ports.cut_off import CUT_OFF
from registry_mesh.ports.repositories import Repository
from registry_mesh.telemetry.traces import Trace

SMALL: Final = 64 << 10
"""A body up to this many bytes leaves in one write with its head."""
_DRAIN: Final = 1 << 20
"""What is left of a refused request body and is read for the sake of the connection; beyond it the connection ends."""
_NOTHING_YET: Final = Asked(Action.PULL)


class Exchange:
    """The request, and the only way to answer it: `reply`, or `begin` and then `wire`."""

    # What is found out as it goes: until then of the class, for a request has few of these to say.

    role: str = ""
    """What the node is, where that may be told to anybody."""
    call: Call | None = None
    authorization: str | None = None
    """The field as it came, once its credentials were looked at."""
    withheld: tuple[Asked, Decision] | None = None
    """What would need credentials, or better ones."""
    asked: Asked = _NOTHING_YET
    """What was last asked of the policy."""
    subject: str = "anonymous"
    """Whose request it is, as far as that is known."""
    login: str | None = None
    """The user that a token is asked for by a login, good or not."""
    pushed: str | None = None
    """The digest of a manifest that was taken."""
    tags: list[str] | None = None
    """What points at it now."""
    moved: Mapping[str, str] = MappingProxyType({})
    """Tags of it that pointed at another digest, and at which."""
    status: int = 0
    """0 until an answer has begun."""
    began: float = 0.0
    headed: float = 0.0
    """When the request came, and when its answer began, on the loop's clock."""
    sent: int = 0
    """Bytes of the body that were sent."""
    sending: tuple[int, int] | None = None
    """The length of the body that is being sent, and what the wire had sent when it began."""
    redirected: int = 0
    """Bytes for which the client was sent elsewhere."""
    received: int = 0
    """Bytes of the request's body that were read."""
    provenance: Provenance | None = None
    trace: Trace | None = None
    by_tag: bool = False
    """A tag was resolved for it."""
    resolved: str = ""
    """The digest of the manifest that is answered with."""
    reason: str = ""
    why: str = ""
    """Why it was not answered as asked: a word of `names.REASONS`, and a sentence."""
    finding: str = ""
    """The finding that explains that."""
    broken: str = ""
    """Why an answer did not end: `client` (it left), `slow client`, `source`."""
    reading: Slices | None = None
    """What the body comes from, where that is one thing."""
    laggards: Laggards
    """Of the listener."""
    before_answer: Callable[[Exchange], Awaitable[None]] | None = None
    """Called when it is known what the answer is, before the client is told."""
    audited: bool = False
    """Whether its line is in the audit log."""

    def __init__(
        self, request: web.BaseRequest, settings: Settings, request_id: str, hot: Hot | None = None
    ) -> None:
        connection = request.protocol
        assert isinstance(connection, Connection) and connection.wire is not None
        self.request = request
        self.connection = connection
        self.wire: Wire = connection.wire
        self.settings = settings
        self.id = request_id
        self.hot = hot
        self.method = request.method
        self.headers = request.headers
        # An upgrade is not taken: the connection ends, for its parser may have dropped what came after the head.
        self.keep_alive = request.keep_alive and "Upgrade" not in request.headers
        self._expects = self._expectation()

    def _expectation(self) -> bool:
        return self.headers.get("Expect", "").lower() == "100-continue" and not self.request.content.at_eof()

    def field(self, name: str) -> str | None:
        """The value of a header field, its lines joined (RFC 9110, 5.3); None where it is absent."""
        lines = self.headers.getall(name, [])
        return ", ".join(lines) if lines else None

    # What the client may do

    async def identify(self) -> None:
        """Find out whose credentials came along, before anything is decided. `RequestInvalid` for several,
        `TooManyRequests`."""
        lines = self.headers.getall("Authorization", [])
        if len(lines) > 1:
            raise RequestInvalid("the request has more than one Authorization field")
        if lines:
            self.authorization = lines[0]
            await self.settings.policy.learn(lines[0])
        elif self.settings.certified and (certified := stated(self.connection.certified)):
            self.authorization = certified
            await self.settings.policy.learn(certified)

    def decide(self, action: Action, registry: str, name: str, *, listed: bool = False) -> Decision:
        """What the caller may do; the last refusal is kept for the challenge."""
        asked = Asked(action, registry, name, listed)
        decision = self.settings.policy.decide(self.authorization, asked)
        self.asked, self.subject = asked, decision.subject
        if decision.verdict is Verdict.AUTHENTICATE:
            self.withheld = (asked, decision)
        return decision

    def challenge(self) -> str:
        """For WWW-Authenticate: ours, for what was asked."""
        asked, decision = self.withheld or (Asked(Action.PULL), None)
        if self.method not in ("GET", "HEAD"):
            action = Action.DELETE if self.method == "DELETE" else Action.PUSH
            asked = Asked(action, asked.registry, asked.repository)
        base = f"{self.request.scheme}://{self.request.host}"
        return self.settings.policy.challenge(asked, base, decision.error if decision else "")

    def may(self, action: Action, call: Call, name: RepositoryName, *, listed: bool = False) -> bool:
        """Whether it may do so in another repository of the same registry. `listed`: it is to be told of it."""
        registry = call.role.repository(call.meant, name).registry
        return self.decide(action, registry, name, listed=listed).verdict is Verdict.ALLOW

    # The request's body

    async def body(self) -> AsyncIterator[bytes]:
        """The request's body in pieces of at most `PIECE` bytes, as the client sends them.

        `SizeInvalid` where it ends early or is badly framed, `BodyTimeout` where it stops coming, or drips: it is
        waited for as long as nothing may come, and a second more for each `SLOWEST` bytes. Time that the store takes
        does not count.
        """
        await self._invite()
        content: StreamReader = self.request.content
        patience, now = self.settings.body_timeout, asyncio.get_running_loop().time
        waited = 0.0
        while True:
            began = now()
            try:
                left = patience + self.received / SLOWEST - waited
                async with asyncio.timeout(min(patience, left)):
                    data = await content.readany()
            except TimeoutError:
                self.keep_alive = False
                raise BodyTimeout() from None
            except RequestPayloadError as fault:
                self.keep_alive = False
                raise SizeInvalid(f"the request body is broken: {str(fault)[:200]}") from None
            if not data:
                return
            waited += now() - began
            self.received += len(data)
            for start in range(0, len(data), PIECE):
                yield data if len(data) <= PIECE else data[start : start + PIECE]

    async def _invite(self) -> None:
        if self.headers.get("Expect") and self.headers["Expect"].lower() != "100-continue":
            raise ExpectationFailed(given=self.headers["Expect"][:100])
        coding = self.headers.get("Transfer-Encoding", "chunked")
        if coding.lower() != "chunked":
            raise SizeInvalid("of transfer codings only chunked is understood", given=coding[:100])
        if self._expects:
            self._expects = False
            await self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def declared_length(self) -> int | None:
        """The body's Content-Length; None where it comes in chunks. Without either, a request has no body."""
        if self.headers.get("Transfer-Encoding"):
            return None
        length = self.headers.get("Content-Length", "0")
        return int(length) if length.isascii() and length.isdigit() else 0

    def _decide_keep_alive(self) -> None:
        """An answer is due while the request's body may not have been read: read on only where that is little."""
        if self._expects or self.method == "CONNECT":
            self.keep_alive = False  # the client may send its body, or may not; a tunnel has no end
        elif not self.request.content.at_eof():
            length = self.declared_length()
            if length is None or length > _DRAIN:
                self.keep_alive = False

    # The answer

    async def reply(self, status: int, fields: Fields, body: bytes = b"") -> None:
        """A whole answer. To HEAD the body is not sent, its length is told."""
        if status not in (204, 304):
            fields = [*fields, ("Content-Length", str(len(body)))]
        if self.method == "HEAD" or not body:
            await self.begin(status, fields)
        elif len(body) <= SMALL:
            await self.wire.write(await self._told(status, fields) + body)
            self.sent += len(body)
        else:
            await self.begin(status, fields)
            await self.wire.send(body)
            self.sent += len(body)

    async def begin(self, status: int, fields: Fields) -> None:
        """Send the head; what `Content-Length` promises must follow through `wire`, or the connection be cut."""
        await self.wire.write(await self._told(status, fields))

    async def _told(self, status: int, fields: Fields) -> bytes:
        """The head, once whoever wants to be is told of the answer."""
        head = self._head(status, fields)
        if self.before_answer is not None:
            await self.before_answer(self)
        return head

    def _head(self, status: int, fields: Fields) -> bytes:
        assert not self.status, "an answer has begun"
        self._decide_keep_alive()
        self.status = status
        self.headed = asyncio.get_running_loop().time()
        common: Fields = [
            ("Date", head.date()),
            ("Docker-Distribution-Api-Version", "registry/2.0"),
            ("X-Request-Id", self.id),
        ]
        if self.call is not None:
            common += namespace(self.call)
        elif (
            self.role and self.request.path == "/v2/"
        ):  # a node below learns so what we are, before it logs in
            common.append(("Registry-Mesh", self.role))
        if self.settings.node and _tells(self.request.path):
            common += lineage(self.settings)
        if not self.keep_alive:
            common.append(("Connection", "close"))
        elif self.request.version < (1, 1):
            common.append(("Connection", "keep-alive"))
        return head.render(status, [*fields, *common])

    def cut(self, why: str) -> None:
        """A body that cannot be completed: the connection ends here and now, so that nobody takes it for whole."""
        self.keep_alive = False
        self.broken = self.broken or why
        self.connection.abort()

    def cut_slow(self) -> None:
        """The same for a client that reads next to nothing: the kernel drops what it has not taken."""
        self.connection.forget_unsent()
        self.cut("slow client")


def namespace(call: Call) -> Fields:
    """Whose answer it is: the registry that was named (spec, "Registry Proxying"), and that a mesh node speaks."""
    fields: Fields = [("OCI-Namespace", call.registry)] if call.registry is not None else []
    return [*fields, ("Registry-Mesh", call.role.name)]


def _tells(path: str) -> bool:
    """Whether nodes below learn from the answer what this one is: to their ping, and to what nodes ask each other."""
    return path == "/v2/" or path.startswith("/v2/_mesh/")


def lineage(settings: Settings) -> Fields:
    """This node and those above it, for nodes below that look for loops, and what of it is cut off from all above."""
    above = " ".join(settings.above())
    fields: Fields = [("Registry-Mesh-Node", settings.node)]
    cut_off = settings.cut_off()
    told = (("Registry-Mesh-Above", above), (CUT_OFF, cut_off))
    return [*fields, *((name, value) for name, value in told if value)]


def writable(call: Call) -> Repository:
    """The repository; `Unsupported` where its place takes no pushes."""
    assert call.repository is not None
    if call.repository.pushes is None:
        raise Unsupported("this node takes no pushes: push to the origin")
    return call.repository
