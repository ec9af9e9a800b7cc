"""A process that stood still does not hold that against its parents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from registry_mesh.upstream.health.breaker import Breaker
from registry_mesh.upstream.health.liveness import Liveness, Patience, Silent
from tests.eventually import eventually

QUICK = Patience(suspect=0.05, silent=0.3, ping=0.5)
STOOD = 0.8
"""Seconds: longer than a ping is given."""


class Near:
    """A parent that is near, and answers a ping once it may."""

    def __init__(self) -> None:
        self.asked, self.may, self.breaker = asyncio.Event(), asyncio.Event(), Breaker()
        self.breaker.succeeded(0.001)
        self.liveness = Liveness(self._answer, QUICK, self.breaker)

    async def _answer(self) -> bool:
        self.asked.set()
        await self.may.wait()
        return True


async def test_what_was_out_while_we_stood_still_is_given_its_time() -> None:
    near = Near()
    ping = near.liveness.check()
    await asyncio.sleep(0.02)
    time.sleep(STOOD)
    assert not near.liveness.silent
    await asyncio.sleep(0.02)
    assert not near.liveness.silent and not near.breaker.open
    near.may.set()
    assert await ping
    assert near.breaker.latency < STOOD / 5, "we were late, not the parent"


async def test_a_request_of_then_is_waited_for() -> None:
    near, request = Near(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(near.liveness.wait(request))
    await near.asked.wait()
    time.sleep(STOOD)
    asyncio.get_running_loop().call_later(0.02, request.set_result, None)
    await waiting
    await near.liveness.close()


@pytest.mark.parametrize("waits", [Liveness.back, Liveness.answers])
async def test_who_waits_for_a_ping_waits_on(waits: Callable[[Liveness], Awaitable[bool]]) -> None:
    near = Near()
    waiting = asyncio.ensure_future(waits(near.liveness))
    await near.asked.wait()
    time.sleep(STOOD)
    asyncio.get_running_loop().call_later(0.02, near.may.set)
    assert await waiting


async def test_one_that_says_nothing_afterwards_either_is_silent() -> None:
    near, request = Near(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(near.liveness.wait(request))
    await near.asked.wait()
    time.sleep(STOOD)
    with pytest.raises(Silent):
        await waiting
    await eventually(lambda: near.breaker.open, "the breaker")
    await near.liveness.close()
