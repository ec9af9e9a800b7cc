"""A parent that accepts, answers pings, and nothing else: how many requests may wait for it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.liveness import Patience
from registry_mesh.upstream.session import ParentSession
from tests.eventually import eventually

MOST = 4


async def test_no_more_than_a_share_of_what_is_served_waits_for_one_parent() -> None:
    waiting, gate = 0, asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal waiting
        if request.path != "/v2/":
            waiting += 1
            await gate.wait()
        return web.json_response({})

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with open_session() as client:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            session = ParentSession(client, url, None, Patience(unanswered=MOST), ns="never")

            async def ask(number: int) -> int:
                async with session.request("GET", f"/v2/app/manifests/{number}", scope="") as answer:
                    return answer.status

            asked = [asyncio.ensure_future(ask(number)) for number in range(MOST)]
            await eventually(lambda: waiting == MOST, "all to be there")
            with pytest.raises(SourceUnavailable, match="leaves 4 requests without an answer"):
                await ask(MOST)
            assert waiting == MOST
            gate.set()
            assert await asyncio.gather(*asked) == [200] * MOST
            assert await ask(MOST) == 200, "once it answers, all is as before"
            await session.close()
    finally:
        await runner.cleanup()
