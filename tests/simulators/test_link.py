"""The simulated link does what its conditions say, and nothing else."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web

from tests.eventually import eventually
from tests.simulators.link import Conditions, Link
from tests.simulators.unread import stand_still, unread

BLOB = random.Random(7).randbytes(300_000)


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    async def blob(request: web.Request) -> web.Response:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if asked is None:
            return web.Response(body=BLOB)
        start, last = int(asked[1]), int(asked[2])
        headers = {"Content-Range": f"bytes {start}-{last}/{len(BLOB)}"}
        return web.Response(status=206, body=BLOB[start : last + 1], headers=headers)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/blob", blob)
    app.router.add_put("/echo", echo)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Link("127.0.0.1", runner.addresses[0][1]) as link:
        yield link
    await runner.cleanup()


@pytest.fixture
async def client(link: Link) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(link.url, timeout=aiohttp.ClientTimeout(60)) as session:
        yield session


async def test_carries_bodies_both_ways_and_counts(link: Link, client: aiohttp.ClientSession) -> None:
    async with client.get("/blob") as answer:
        assert await answer.read() == BLOB
    async with client.put("/echo", data=BLOB) as answer:
        assert await answer.read() == BLOB
    async with client.head("/blob") as answer:
        assert answer.headers["Content-Length"] == str(len(BLOB))
    assert (link.counts.connections, link.counts.requests) == (1, 3)
    assert link.counts.body_bytes == 2 * len(BLOB)
    assert [(one.method, one.body_bytes) for one in link.counts.passed] == [
        ("GET", len(BLOB)),
        ("PUT", len(BLOB)),
        ("HEAD", 0),
    ]


async def test_is_as_slow_and_as_far_as_told(link: Link, client: aiohttp.ClientSession) -> None:
    link.conditions = Conditions(rate=3_000_000, rtt=0.05)
    begun = time.monotonic()
    async with client.get("/blob") as answer:
        headed = time.monotonic() - begun
        await answer.read()
    assert headed >= 0.1  # one round trip for the connection, one for the request
    assert time.monotonic() - begun >= 0.19  # and 0.1 s for the bytes


async def test_cuts_after_so_many_bytes(link: Link, client: aiohttp.ClientSession) -> None:
    link.conditions = Conditions(cut_every=100_000)
    async with client.get("/blob") as answer:
        received = b""
        with pytest.raises(aiohttp.ClientError):
            async for part in answer.content.iter_any():
                received += part
    assert link.counts.body_bytes == 100_000
    assert BLOB.startswith(received)


async def test_stalls(link: Link, client: aiohttp.ClientSession) -> None:
    link.conditions = Conditions(stall_after=1000)
    async with client.get("/blob") as answer:
        assert await answer.content.readexactly(1000) == BLOB[:1000]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(answer.content.readany(), 0.2)


async def test_flips_one_bit_also_inside_a_range(link: Link, client: aiohttp.ClientSession) -> None:
    link.conditions = Conditions(flip_at=200_000)
    async with client.get("/blob", headers={"Range": "bytes=199990-200009"}) as answer:
        received = await answer.read()
    assert [i for i in range(20) if received[i] != BLOB[199_990 + i]] == [10]


async def test_answers_200_to_a_range(link: Link, client: aiohttp.ClientSession) -> None:
    link.conditions = Conditions(ignore_ranges=True)
    async with client.get("/blob", headers={"Range": "bytes=5-9"}) as answer:
        assert (answer.status, len(await answer.read())) == (200, len(BLOB))


async def test_names_the_wrong_range(link: Link, client: aiohttp.ClientSession) -> None:
    link.conditions = Conditions(wrong_content_range=True)
    async with client.get("/blob", headers={"Range": "bytes=5-9"}) as answer:
        assert answer.headers["Content-Range"] == f"bytes 6-10/{len(BLOB)}"
        assert await answer.read() == BLOB[5:10]


async def test_answers_for_a_sick_server(link: Link, client: aiohttp.ClientSession) -> None:
    link.conditions = Conditions(status=429)
    async with client.get("/blob") as answer:
        assert answer.status == 429


async def test_refuses_over_a_connection_that_is_there(link: Link, client: aiohttp.ClientSession) -> None:
    async with client.get("/blob") as answer:
        await answer.read()
    link.conditions = Conditions(refuse=True)
    with pytest.raises(aiohttp.ClientError):
        await client.get("/blob")
    assert link.counts.requests == 1


async def test_tells_the_bodies_of_pings_apart(link: Link, client: aiohttp.ClientSession) -> None:
    for path in ("/v2/", "/blob"):
        async with client.get(path) as answer:
            await answer.read()
    assert link.counts.ping_bytes > 0
    assert link.counts.body_bytes - link.counts.ping_bytes == len(BLOB)


async def test_refuses(link: Link, client: aiohttp.ClientSession) -> None:
    link.conditions = Conditions(refuse=True)
    with pytest.raises(aiohttp.ClientError):
        await client.get("/blob")


async def test_what_a_client_has_not_read_is_waited_for(link: Link) -> None:
    with socket.create_connection(("127.0.0.1", link.port)) as client:
        client.setblocking(False)
        client.sendall(b"GET /blob HTTP/1.1\r\nHost: here\r\n\r\n")
        await eventually(lambda: link.counts.body_bytes, "some of the body to leave")
        standing, left = asyncio.create_task(stand_still(link)), link.counts.body_bytes
        await asyncio.sleep(0)
        assert unread(link) >= left and not standing.done()
        got = 0
        while not standing.done():
            with suppress(BlockingIOError):
                got += len(client.recv(1 << 20))
            await asyncio.sleep(0)
        await standing
        assert got > left, "its head, too"
