"""The admin listener: /livez, /healthz, /readyz, /metrics, /status, /api/1."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from ipaddress import ip_address
from socket import socket
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from registry_mesh import __version__
from registry_mesh.admin.exposition import TableCollector, exposition
from registry_mesh.admin.images import NAMES, Images, add_images
from registry_mesh.admin.node import Node
from registry_mesh.admin.pulls import PullsTold, add_pulls
from registry_mesh.admin.runs import RunsAsked, add_runs, is_announced
from registry_mesh.admin.silent import PATIENCE, Silent
from registry_mesh.auth.basic import parse_basic
from registry_mesh.auth.certified import SUBJECT, name_in, name_of, stated

LetsIn = Callable[[str, str | None], Awaitable[bool]]
Audit = Callable[..., None]
"""Takes an event, and what is known of it, by `telemetry.audit.FIELDS`."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBES: Final = frozenset({"/livez", "/healthz", "/readyz"})
"""What a scheduler asks, which has no login: ok or not, and no more."""

_PLAIN: Final = {"Cache-Control": "no-store"}


class _Brief(logging.Filter):
    """What is no HTTP is the other end's fault: a line, and no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, HttpProcessingError):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg, record.args, record.exc_info = "what came was no HTTP", (), None
        return True


LAST: Final = 0.3
"""Seconds that a request may take to come on a connection that was taken before others take the next."""

_http: Final = logging.getLogger(__name__)
_http.addFilter(_Brief())


class AdminServer:
    """Serves `node` to its operator on `listener`, from `start` to `close`."""

    def __init__(
        self,
        node: Node,
        info: dict[str, str],
        images: Images | None = None,
        lets_in: LetsIn | None = None,
        pulls: PullsTold | None = None,
        audit: Audit | None = None,
        runs: RunsAsked | None = None,
        moving: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """`info`: role, name and version, for `registry_mesh_build_info`. `lets_in` decides, by the other end's address
        and its `Authorization` field, or what states its certificate, who may ask for more than whether the node lives;
        None: anybody. `moving`: blobs on their way in (`fills`) and bodies on their way to clients (`readers`)."""
        self._node = node
        self._moving = moving
        self._audit = audit
        self._lets_in = lets_in
        self._runs = runs
        self._collector = TableCollector(node.table, info)
        app = web.Application(middlewares=[self._guarded])
        app.router.add_get("/", self._index)
        for path in ("/livez", "/healthz"):
            app.router.add_get(path, self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/status", self._status)
        app.router.add_get("/api/1/findings", self._findings)
        app.router.add_get("/api/1/events", self._events)
        app.router.add_get("/api/1/fills", self._fills)
        if images is not None:
            add_images(app, images)
        if pulls is not None:
            add_pulls(app, pulls)
        if runs is not None:
            add_runs(app, runs)
        app.on_response_prepare.append(_sign)
        self._silent: Silent | None = None
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=75.0, shutdown_timeout=1.0, logger=_http
        )

    async def start(
        self, listener: socket, tls: ssl.SSLContext | None = None, patience: float = PATIENCE
    ) -> None:
        """Listen; OSError where the address is not to be had. `patience`: seconds for the first request to come."""
        await self._runner.setup()
        assert self._runner.server is not None, "it is set up"
        self._silent = Silent(self._runner.server, patience)
        await web.SockSite(self._runner, listener, ssl_context=tls).start()

    async def leave(self) -> None:
        """Take no more connections, and answer what comes on those that were taken. Whoever else listens at the
        address serves the next."""
        for site in self._runner.sites:
            await site.stop()
        await asyncio.sleep(LAST)

    async def close(self) -> None:
        """Stop listening and end what runs."""
        if self._silent is not None:
            self._silent.close()
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._silent is not None:
            self._silent.heard(request)
        authorization = _authorization(request)
        if (
            self._lets_in is None
            or request.path in PROBES
            or await self._lets_in(request.remote or "", authorization)
            or (self._runs is not None and await is_announced(request, self._runs))
        ):
            return await self._done(request, handler)
        self._tell("admin-refused", request, 401)
        challenge = {"WWW-Authenticate": 'Basic realm="registry-mesh", charset="UTF-8"'}
        return web.Response(status=401, text="a login is needed\n", headers={**challenge, **_PLAIN})

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
            if request.method not in ("GET", "HEAD"):
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

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(
            text="/livez /healthz /readyz /metrics /status /api/1/findings /api/1/images\n", headers=_PLAIN
        )

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers=_PLAIN)

    async def _ready(self, _: web.Request) -> web.Response:
        readiness = self._node.readiness()
        text = "ok\n" if readiness.ready else f"not ready: {readiness.why}\n"
        return web.Response(status=200 if readiness.ready else 503, text=text, headers=_PLAIN)

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = exposition(self._collector, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type, **_PLAIN})

    async def _status(self, _: web.Request) -> web.Response:
        return _json(asdict(await self._node.status()))

    async def _events(self, _: web.Request) -> web.Response:
        return _json({"events": [asdict(each) for each in self._node.events()]})

    async def _fills(self, _: web.Request) -> web.Response:
        return _json(dict(self._moving()))

    async def _findings(self, _: web.Request) -> web.Response:
        return _json(asdict(self._node.findings()))


def _authorization(request: web.Request) -> str | None:
    """The field; without it, what states the certificate that was shown."""
    given = request.headers.get("Authorization")
    if given is not None or request.transport is None:
        return given
    return stated(name_in(request.transport.get_extra_info("peercert"))) or None


def _json(told: dict[str, object]) -> web.Response:
    text = json.dumps(told, indent=2, ensure_ascii=False, default=str)
    return web.Response(text=text + "\n", content_type="application/json", headers=_PLAIN)


async def _sign(_: web.Request, answer: web.StreamResponse) -> None:
    """The program's name, and no list of what it is made of."""
    answer.headers["Server"] = f"registry-mesh/{__version__}"
