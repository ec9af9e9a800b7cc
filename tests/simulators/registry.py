"""A registry on a real socket whose answers a test writes itself: honest, wrong or hostile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class SimulatedRegistry:
    """`answers` maps a raw path to what answers it; `seen` keeps every request's method, raw path and headers."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    hung: bool = False

    @property
    def asked(self) -> list[tuple[str, str, dict[str, str]]]:
        """What was seen, without pings: an answer that is late brings one, and on a busy machine any may be."""
        return [seen for seen in self.seen if seen[1] != "/v2/"]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append((request.method, request.raw_path, dict(request.headers)))
        if self.hung:
            await asyncio.sleep(3600)
        answer = self.answers.get(request.path)
        if answer is None:
            return web.Response(status=404)
        return await answer(request)  # type: ignore[arg-type]  # a low-level server's request

    def says(self, path: str, **response: object) -> None:
        """Answer `path` always so."""

        async def answer(request: web.Request) -> web.Response:
            return web.Response(**response)  # type: ignore[arg-type]

        self.answers[path] = answer


@asynccontextmanager
async def simulated_registry() -> AsyncIterator[SimulatedRegistry]:
    registry = SimulatedRegistry()
    runner = web.ServerRunner(web.Server(registry.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    registry.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield registry
    finally:
        await runner.cleanup()
