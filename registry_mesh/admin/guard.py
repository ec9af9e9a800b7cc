"""Who is answered at the operator's listener, and what is kept of it in the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from registry_mesh.admin.asked_as import AskedAs, is_forwarded, is_of_a_page
from registry_mesh.admin.images import NAMES
from registry_mesh.admin.runs import RunsAsked, is_announced
from registry_mesh.auth.basic import parse_basic
from registry_mesh.auth.certified import SUBJECT, name_in, name_of, stated

LetsIn = Callable[[str, str | None], Awaitable[bool]]
Audit = Callable[..., None]
"""Takes an event, and what is known of it, by `telemetry.audit.FIELDS`."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBES: Final = frozenset({"/livez", "/healthz", "/readyz"})
"""What a scheduler asks, which has no login: ok or not, and no more."""
PLAIN: Final = {"Cache-Control": "no-store"}

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="registry-mesh", charset="UTF-8"'}
_ELSEWHERE: Final = ""
"""Stands for the address of somebody who is not at this machine."""
_READS: Final = ("GET", "HEAD")


class Guard:
    """`lets_in` decides, by the other end's address and its `Authorization` field, or what states its certificate, who
    may ask for more than whether the node lives; None: anybody, under a name that `asked_as` knows."""

    def __init__(
        self,
        lets_in: LetsIn | None,
        asked_as: AskedAs,
        runs: RunsAsked | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._lets_in = lets_in
        self._asked_as = asked_as
        self._runs = runs
        self._audit = audit

    async def pass_on(
        self, request: web.Request, handler: Handler, let_in: Callable[[], None] = lambda: None
    ) -> web.StreamResponse:
        """The handler's answer, or why there is none. `let_in` is told where somebody asks who may."""
        if request.path in PROBES:
            return await self._done(request, handler)
        if request.method not in _READS and is_of_a_page(request.headers):
            return self._refused(request, 403, "not from a web page: what the node does, commands ask for")
        if await self._may(request) or (self._runs is not None and await is_announced(request, self._runs)):
            let_in()
            return await self._done(request, handler)
        if self._lets_in is None:
            return self._refused(request, 421, _not_ours(request))
        return self._refused(request, 401, "a login is needed", _CHALLENGE)

    async def _may(self, request: web.Request) -> bool:
        """A name that is not the node's may be that of a web page, which has a browser at this machine ask; and what a
        proxy asks for others is not asked from here, however near it is."""
        known = self._asked_as.knows(_host(request), _own_address(request))
        if self._lets_in is None:
            return known
        is_from_here = known and not is_forwarded(request.headers)
        peer = request.remote or "" if is_from_here else _ELSEWHERE
        return await self._lets_in(peer, _authorization(request))

    def _refused(
        self, request: web.Request, status: int, why: str, headers: dict[str, str] | None = None
    ) -> web.Response:
        self._tell("admin-refused", request, status)
        return web.Response(status=status, text=f"{why}\n", headers={**(headers or {}), **PLAIN})

    async def _done(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer; what changes something is told of, whatever comes of it."""
        status = 500
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        except web.HTTPException as refused:
            status = refused.status
            raise
        finally:
            if request.method not in _READS:
                self._tell("admin", request, status)

    def _tell(self, event: str, request: web.Request, status: int) -> None:
        if self._audit is None:
            return
        self._audit(
            event,
            subject=self._who(request),
            client=request.remote or "",
            method=request.method,
            path=request.path[:1024],
            status=status,
            reference=" ".join(request.get(NAMES, ()))[:300] or None,
        )

    def _who(self, request: web.Request) -> str | None:
        """The login; None from this machine itself, which needs none, and whose word for one nobody has looked at."""
        is_here = request.remote is not None and ip_address(request.remote.partition("%")[0]).is_loopback
        if self._lets_in is None or is_here:
            return None
        authorization = _authorization(request) or ""
        if (name := name_of(authorization)) is not None:
            return SUBJECT + name
        login = parse_basic(authorization)
        return login.user if login is not None else None


def _authorization(request: web.Request) -> str | None:
    """The field; without it, what states the certificate that was shown."""
    given = request.headers.get("Authorization")
    if given is not None or request.transport is None:
        return given
    return stated(name_in(request.transport.get_extra_info("peercert"))) or None


def _host(request: web.Request) -> str | None:
    """Whom it asks: the host of an address in its first line goes before the field (RFC 9112, 3.2.2)."""
    is_address = "://" in request.raw_path.partition("?")[0]
    return request.host if is_address else request.headers.get("Host")


def _own_address(request: web.Request) -> str:
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return str(name[0]) if isinstance(name, tuple) else ""


def _not_ours(request: web.Request) -> str:
    return (
        f"this node is not asked as {(_host(request) or '')[:255]!a}: ask it by its address, as localhost or"
        " by its name, add the name to admin.hosts, or guard the listener with admin.users"
    )
