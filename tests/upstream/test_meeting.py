"""Nodes of a ring that meet all at once: none knows yet whom the other asks, and each waits for the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from registry_mesh.ports.failures import SourceLoops
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.board import Board
from registry_mesh.upstream.probe import Probe
from registry_mesh.upstream.session import ParentSession
from tests.simulators.upstream import PATIENT

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
OWN, OTHER, THIRD = "a" * 16, "b" * 16, "c" * 16


@asynccontextmanager
async def _listening(node: Answer) -> AsyncIterator[str]:
    """Its URL."""
    runner = web.ServerRunner(web.Server(node), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_parent_that_answers_all_the_time_is_asked_again_whom_it_asks() -> None:
    """Two that met before either knew: the one that is busy with answers is not to stay in the dark."""
    board = Board(["parent"], node=OWN)

    async def node(request: web.BaseRequest) -> web.StreamResponse:
        told = {"Registry-Mesh": "site", "Registry-Mesh-Node": OTHER}
        if pulls > 3:
            told["Registry-Mesh-Above"] = OWN
        return web.json_response({}, headers=told)

    pulls = 0
    async with _listening(node) as url, open_session() as client:
        session = ParentSession(client, url, None, card=board.card("parent", 0))
        probe = Probe([session.parent], quiet=0.3)
        probe.start()
        with pytest.raises(SourceLoops):
            async with asyncio.timeout(60):
                while True:
                    async with session.request("GET", "/v2/team/app/tags/list", scope=""):
                        pulls += 1
                    await asyncio.sleep(0.02)
        await probe.close()
        await session.close()


async def test_whom_the_parent_asks_is_looked_at_while_it_is_waited_for() -> None:
    pings = 0

    async def node(request: web.BaseRequest) -> web.StreamResponse:
        """It learns of the third node, and then that this one asks ours, as it is pinged."""
        nonlocal pings
        if request.path != "/v2/":
            await asyncio.sleep(3600)
        pings += 1
        above = ["", THIRD, f"{THIRD} {OWN}"][min(pings - 1, 2)]
        told = {"Registry-Mesh": "site", "Registry-Mesh-Node": OTHER, "Registry-Mesh-Above": above}
        return web.json_response({}, headers=told)

    board = Board(["parent"], node=OWN)
    patience = replace(PATIENT, head=600)  # it is not late by any other measure
    async with _listening(node) as url, open_session() as client:
        session = ParentSession(client, url, None, patience, card=board.card("parent", 0))
        async with asyncio.timeout(60):
            assert await session.parent.ping()
            with pytest.raises(SourceLoops):
                async with session.request("GET", "/v2/team/app/tags/list", scope="", query={"ns": "r"}):
                    pass
        await session.close()
    assert pings == 3
