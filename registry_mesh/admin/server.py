"""The admin listener: /livez, /healthz, /readyz, /metrics, /status, /api/1."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from socket import socket
from typing import Final

from aiohttp import web

from registry_mesh import __version__
from registry_mesh.admin.exposition import TableCollector, exposition
from registry_mesh.admin.images import Images, add_images
from registry_mesh.admin.node import Node
from registry_mesh.admin.pulls import PullsTold, add_pulls

LetsIn = Callable[[str, str | None], Awaitable[bool]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBES: Final = frozenset({"/livez", "/healthz", "/readyz"})
"""What a scheduler asks, which has no login: ok or not, and no more."""

_PLAIN: Final = {"Cache-Control": "no-store"}


class AdminServer:
    """Serves `node` to its operator on `listener`, from `start` to `close`."""

    def __init__(
        self,
        node: Node,
        info: dict[str, str],
        images: Images | None = None,
        lets_in: LetsIn | None = None,
        pulls: PullsTold | None = None,
    ) -> None:
        """`info`: role, name and version, for `registry_mesh_build_info`. `lets_in` decides, by the other end's address
        and its `Authorization` field, who may ask for more than whether the node lives; None: anybody."""
        self._node = node
        self._lets_in = lets_in
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
        if images is not None:
            add_images(app, images)
        if pulls is not None:
            add_pulls(app, pulls)
        app.on_response_prepare.append(_sign)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=75.0, shutdown_timeout=1.0)

    async def start(self, listener: socket) -> None:
        """Listen; OSError where the address is not to be had."""
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def close(self) -> None:
        """Stop listening and end what runs."""
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._lets_in is None or request.path in PROBES:
            return await handler(request)
        if await self._lets_in(request.remote or "", request.headers.get("Authorization")):
            return await handler(request)
        challenge = {"WWW-Authenticate": 'Basic realm="registry-mesh", charset="UTF-8"'}
        return web.Response(status=401, text="a login is needed\n", headers={**challenge, **_PLAIN})

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

    async def _findings(self, _: web.Request) -> web.Response:
        return _json(asdict(self._node.findings()))


def _json(told: dict[str, object]) -> web.Response:
    text = json.dumps(told, indent=2, ensure_ascii=False, default=str)
    return web.Response(text=text + "\n", content_type="application/json", headers=_PLAIN)


async def _sign(_: web.Request, answer: web.StreamResponse) -> None:
    """The program's name, and no list of what it is made of."""
    answer.headers["Server"] = f"registry-mesh/{__version__}"
