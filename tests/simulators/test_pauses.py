"""What is asked for again, and what is not."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from tests.simulators.pauses import AFTER, LATE, TICK, patient, steady, watched
from tests.simulators.registry import simulated_registry


@pytest.mark.parametrize(("pause", "status"), [(True, 200), (False, 503)])
async def test_what_is_refused_is_asked_for_again_after_a_pause_alone(pause: bool, status: int) -> None:
    async with simulated_registry() as node, patient() as (client, pauses):

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
        began = time.monotonic()
        async with client.get(node.url) as answered:
            own = not pause and answered.status == 200
            assert own or answered.status == status
            assert not own or pauses.stood_since(began), "the machine made a pause of its own"


@pytest.mark.parametrize("pause", [True, False])
async def test_a_body_that_breaks_off_is_asked_for_again_after_a_pause_alone(pause: bool) -> None:
    asked = 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        if asked > 1:
            return "whole"
        if pause:
            time.sleep(LATE + 2 * TICK)
        raise aiohttp.ClientPayloadError

    async with watched() as pauses:
        await asyncio.sleep(TICK)  # it watches
        while pauses.stood_since(time.monotonic()):
            await asyncio.sleep(TICK)
        if pause:
            assert await pauses.whole(ask) == "whole"
            return
        try:
            assert await pauses.whole(ask) == "whole"
        except aiohttp.ClientPayloadError:
            assert asked == 1
        else:
            assert pauses.stood_since(time.monotonic() - TICK), "the machine made a pause of its own"


@pytest.mark.parametrize("pause", [True, False])
async def test_a_test_that_fails_is_done_again_after_a_pause_alone(pause: bool) -> None:
    done = list[float]()

    @steady
    async def test() -> None:
        done.append(time.monotonic())
        if len(done) == 1:
            await asyncio.sleep(2 * TICK)
            if pause:
                time.sleep(LATE + 2 * TICK)
            raise AssertionError("the first time")

    if pause:
        await test()
        assert len(done) == 2
        return
    try:
        await test()
    except AssertionError:
        assert len(done) == 1
    else:
        assert done[1] - done[0] > AFTER, "the machine made a pause of its own"


async def test_what_the_machine_took_is_no_time_of_what_is_measured() -> None:
    async def stands() -> str:
        await asyncio.sleep(2 * TICK)
        time.sleep(LATE + 4 * TICK)
        return "it"

    async with watched() as pauses:
        began = time.monotonic()
        given, took = await pauses.timed(stands())
        assert given == "it"
        assert took <= time.monotonic() - began - LATE - 4 * TICK
