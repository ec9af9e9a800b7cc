"""A crowd that waits for one parent in vain: what the process does otherwise goes on while it is told so."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.tasks.turnstile import MOST
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.liveness import Patience
from registry_mesh.upstream.session import ParentSession
from tests.simulators.link import Link
from tests.simulators.registry import SimulatedRegistry

ONE_PING = Patience(connect=60, suspect=0.5, silent=1, ping=30, first=1, head=60)
"""For which all wait."""


async def test_a_few_end_in_each_turn_of_the_loop(parent: SimulatedRegistry) -> None:
    ended: list[asyncio.Future[None]] = []
    async with Link("127.0.0.1", int(parent.url.rpartition(":")[2])) as link, open_session() as client:
        link.conditions.hang = True
        session = ParentSession(client, link.url, None, ONE_PING, ns="never")

        async def ask() -> None:
            with pytest.raises(SourceUnavailable, match="never answers"):
                async with session.request("GET", "/v2/a/blobs/b", scope=""):
                    pass

        crowd = [asyncio.ensure_future(ask()) for _ in range(20 * MOST)]
        for each in crowd:
            each.add_done_callback(ended.append)
        most = 0
        while len(ended) < len(crowd):
            before = len(ended)
            await asyncio.sleep(0)
            most = max(most, len(ended) - before)
        await asyncio.gather(*crowd)
        await session.parent.liveness.close()
        await session.close()
    assert most <= 3 * MOST
