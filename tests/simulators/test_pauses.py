"""What is asked for again, and what is not."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from tests.simulators.pauses import AFTER, LATE, TICK, patient_client
from tests.simulators.registry import simulated_registry


@pytest.mark.parametrize(("pause", "status"), [(True, 200), (False, 503)])
async def test_what_is_refused_is_asked_for_again_after_a_pause_alone(pause: bool, status: int) -> None:
    async with simulated_registry() as node, patient_client() as client:

        async def answer(request: web.Request) -> web.Response:
            if len(node.seen) > 1:
                return web.Response()
            if pause:
                time.sleep(LATE + 2 * TICK)
            return web.Response(status=503)

        node.answers["/"] = answer
        while True:
            began = time.monotonic()
            await asyncio.sleep(AFTER + TICK)  # what it saw of a pause before is too long ago
            if time.monotonic() - began < AFTER + LATE:
                break
        async with client.get(node.url) as answered:
            assert answered.status == status
