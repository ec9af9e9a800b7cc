"""A gateway before a real bucket that misbehaves as it is told; everything else it passes on, byte for byte."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from yarl import URL

Pass = Callable[[], Awaitable[web.Response]]
Ill = Callable[[web.Request, bytes, Pass], Awaitable[web.Response]]
"""Answers a request; the callable passes it on to the bucket and gives the bucket's answer."""


async def well(request: web.Request, body: bytes, ask: Pass) -> web.Response:
    return await ask()


def error(status: int, code: str) -> web.Response:
    """A refusal as S3 spells it."""
    return web.Response(
        status=status, text=f"<Error><Code>{code}</Code></Error>", content_type="application/xml"
    )


def deletes_many(request: web.Request) -> bool:
    return request.method == "POST" and "delete" in request.query


def is_conditional(request: web.Request) -> bool:
    return request.method == "PUT" and "If-None-Match" in request.headers


class Gateway:
    """`ill` may be changed at any time. `seen`: method and path with query of each request."""

    def __init__(self, session: aiohttp.ClientSession, behind: str) -> None:
        self._session = session
        self._behind = behind
        self.ill: Ill = well
        self.seen: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.seen.append(f"{request.method} {request.raw_path}")
        return await self.ill(request, body, lambda: self._pass_on(request, body))

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        url = URL(self._behind + _target(request), encoded=True)
        headers = {
            k: v for k, v in request.headers.items() if k.lower() not in ("transfer-encoding", "expect")
        }
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            data = await answer.read()
            kept = {
                k: v
                for k, v in answer.headers.items()
                if k.lower() not in ("transfer-encoding", "date", "server")
            }
            return web.Response(
                status=answer.status, headers=kept, body=data if request.method != "HEAD" else None
            )


def _target(request: web.Request) -> str:
    """Path and query as they were sent; to a proxy the whole URL is sent."""
    raw = request.raw_path
    return raw if raw.startswith("/") else "/" + raw.split("/", 3)[3]


@asynccontextmanager
async def gateway(behind: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Gateway]:
    """Serves on a free port before the server at the URL `behind`; over TLS where there is a context."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        made = Gateway(session, behind)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{anything:.*}", made.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = runner.addresses[0][:2]
        made.url = f"{'https' if tls else 'http'}://{host}:{port}"
        try:
            yield made
        finally:
            await runner.cleanup()
