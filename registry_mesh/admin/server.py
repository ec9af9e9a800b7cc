"""The admin listener: /livez, /healthz, /readyz, /metrics, /status, /api/1."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from socket import socket
from typing import Final

from aiohttp import web

from registry_mesh.admin.asked_as import AskedAs
from registry_mesh.admin.connection import SERVER, Connection
from registry_mesh.admin.crowd import MOST, PATIENCE, Crowd
from registry_mesh.admin.exposition import TableCollector, exposition
from registry_mesh.admin.guard import PLAIN, Audit, Guard, Handler, LetsIn
from registry_mesh.admin.images import Images, add_images
from registry_mesh.admin.node import Node
from registry_mesh.admin.pulls import PullsTold, add_pulls
from registry_mesh.admin.runs import RunsAsked, RunsTold, add_runs, add_runs_shown
from registry_mesh.listening.listener import Listener
from registry_mesh.listening.parting import Believes

LAST: Final = 0.3
"""Seconds that a request may take to come on a connection that was taken before others take the next."""

BACKLOG: Final = 128


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
        hosts: Iterable[str] = (),
        runs_told: RunsTold | None = None,
    ) -> None:
        """`info`: role, name and version, for `registry_mesh_build_info`. `lets_in`: see `Guard`. `moving`: blobs on
        their way in (`fills`) and bodies on their way to clients (`readers`). `hosts`: names, beside localhost, by
        which it is asked without a login."""
        self._node = node
        self._moving = moving
        self._guard = Guard(lets_in, AskedAs(hosts), runs, audit)
        self._collector = TableCollector(node.table, info)
        app = self._app()
        if images is not None:
            add_images(app, images)
        if pulls is not None:
            add_pulls(app, pulls)
        if runs is not None:
            add_runs(app, runs)
        if runs_told is not None:
            add_runs_shown(app, runs_told)
        app.on_response_prepare.append(self._sign)
        self._leaving = False
        self._crowd: Crowd | None = None
        self._listener: Listener | None = None
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)

    def _app(self) -> web.Application:
        """With what every node tells."""
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
        return app

    async def start(
        self,
        listener: socket,
        tls: ssl.SSLContext | None = None,
        patience: float = PATIENCE,
        most: int = MOST,
    ) -> None:
        """Listen; OSError where the address is not to be had. `patience`: seconds for the first request to come;
        `most`: connections at once."""
        await self._runner.setup()
        assert self._runner.server is not None, "it is set up"
        self._crowd = Crowd(self._runner.server, Connection, patience, most)
        listener.listen(BACKLOG)
        self._listener = Listener(listener, self._crowd.enter, tls, handshakes=most)

    def part(self, believes: Believes) -> None:
        """End connections whose client showed a certificate that is not believed any more; see `listening.parting`."""
        if self._crowd is not None:
            self._crowd.part(believes)

    async def leave(self) -> None:
        """Take no more connections, and answer what comes on those that were taken, once each: it may be long until
        the end of this process. Whoever else listens at the address serves the next."""
        self._leaving = True
        self._stop_listening()
        await asyncio.sleep(LAST)

    async def close(self) -> None:
        """Stop listening and end what runs."""
        self._stop_listening()
        if self._crowd is not None:
            self._crowd.close()
        await self._runner.cleanup()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        assert self._crowd is not None, "started"
        with self._crowd.asking(request):
            return await self._guard.pass_on(request, handler, partial(self._crowd.let_in, request))

    async def _sign(self, _: web.Request, answer: web.StreamResponse) -> None:
        answer.headers["Server"] = SERVER
        if self._leaving:
            answer.force_close()
            answer.headers["Connection"] = "close"  # too late for what that alone would say

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(
            text="/livez /healthz /readyz /metrics /status /api/1/findings /api/1/images\n", headers=PLAIN
        )

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers=PLAIN)

    async def _ready(self, _: web.Request) -> web.Response:
        readiness = self._node.readiness()
        text = "ok\n" if readiness.ready else f"not ready: {readiness.why}\n"
        return web.Response(status=200 if readiness.ready else 503, text=text, headers=PLAIN)

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = exposition(self._collector, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type, **PLAIN})

    async def _status(self, _: web.Request) -> web.Response:
        return _json(asdict(await self._node.status()))

    async def _events(self, _: web.Request) -> web.Response:
        return _json({"events": [asdict(each) for each in self._node.events()]})

    async def _fills(self, _: web.Request) -> web.Response:
        return _json(dict(self._moving()))

    async def _findings(self, _: web.Request) -> web.Response:
        return _json(asdict(self._node.findings()))


def _json(told: dict[str, object]) -> web.Response:
    text = json.dumps(told, indent=2, ensure_ascii=False, default=str)
    return web.Response(text=text + "\n", content_type="application/json", headers=PLAIN)
