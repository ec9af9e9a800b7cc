"""Callers without a login, who say that they tell of a push."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from aiohttp import web

from registry_mesh.admin.runs import PATH, is_announced


class Nobody:
    """Implements `admin.runs.RunsAsked`: no signature is good."""

    async def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        return False

    async def ask(self, registry: str, repository: str) -> bool:
        return False

    async def ask_all(self) -> None:
        """Run nothing."""


async def test_a_body_that_does_not_come_holds_no_connection() -> None:
    is_let_in = partial(is_announced, runs=Nobody(), patience=0.01)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=202 if await is_let_in(request) else 401)

    app = web.Application()
    app.router.add_post(PATH, answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nwebhook-signature: v1,x\r\nContent-Length: 10\r\n\r\n".encode()
        )
        assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 401 ")
        writer.close()
    finally:
        await runner.cleanup()
