"""A program that is told of pushes: it verifies what comes as any receiver of Standard Webhooks does."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass
class Receiver:
    """What came, and with which statuses it is answered: `statuses` first, then `status`."""

    url: str = ""
    status: int = 204
    statuses: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """Those that were taken."""
    tries: int = 0
    forged: int = 0
    types: set[str] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        self.tries += 1
        body = await request.read()
        self.types.add(request.headers["Content-Type"])
        status = self.statuses.pop(0) if self.statuses else self.status
        if not self.verifies(request.headers, body):
            self.forged += 1
            status = 401
        if status < 300:
            self.events.append(json.loads(body))
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 307 else {})

    def verifies(self, headers: Any, body: bytes) -> bool:
        at = int(headers["webhook-timestamp"])
        signed = f"{headers['webhook-id']}.{at}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
        given = headers["webhook-signature"].split(" ")
        return abs(time.time() - at) < 300 and any(hmac.compare_digest(expected, each) for each in given)


@asynccontextmanager
async def receiving(
    receiver: Receiver, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Serve it on this machine."""
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    bound = runner.addresses[0][1]
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{bound}/hook?token=hidden"
    try:
        yield receiver
    finally:
        await runner.cleanup()
