"""Who asks nothing makes room for who comes, the longest idle first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from registry_mesh.edge.settings import Settings
from registry_mesh.edge.wire.idlers import PAUSE, Idlers
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Piece
from tests.edge.conftest import Edge, Start
from tests.eventually import eventually

GET = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
Raw = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def ask(one: Raw, edge: Edge, idle: int) -> None:
    """Until it is answered, and so many are idle."""
    reader, writer = one
    writer.write(GET)
    assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 ")
    await eventually(
        lambda: sum(each.is_idle for each in edge.server.connections_open()) == idle, "idle ones"
    )


async def test_the_one_that_was_used_the_longest_ago_is_closed(start: Start) -> None:
    gate = asyncio.Event()

    async def pieces(span: Span) -> AsyncIterator[Piece]:
        yield b"a"
        await gate.wait()
        yield b"b"

    edge = await start()
    blob = edge.shelf.script(b"ab", pieces)
    loop = asyncio.get_running_loop()
    now = loop.time()
    idlers = Idlers(edge.server.connections_open, 1000.0, lambda: now)
    async with AsyncExitStack() as stack:
        busy, first, second, third = [await stack.enter_async_context(edge.raw()) for _ in range(4)]
        busy[1].write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await busy[0].readuntil(b"\r\n\r\n")
        for each in (first, second, third):
            await ask(each, edge, 3)
        used = loop.time()
        assert not idlers.make_room(), "all were used just now"
        now += 10_000
        assert idlers.make_room()
        assert await first[0].read() == b""
        await eventually(lambda: loop.time() > used, "a time of its own, of milliseconds as uvloop counts")
        await ask(second, edge, 2)
        assert idlers.make_room()
        assert await third[0].read() == b"", "the second was used since"
        now += PAUSE / 2
        assert not idlers.make_room(), "looked just now"
        now += 10_000
        assert idlers.make_room()
        assert await second[0].read() == b""
        now += 10_000
        assert not idlers.make_room(), "one is answered"
        gate.set()
        assert await busy[0].readexactly(2) == b"ab"


async def test_idle_connections_hold_no_descriptor_that_others_need(start: Start) -> None:
    edge = await start(settings=Settings(descriptors=1, drain_idle=0.0))
    async with edge.raw() as idle:
        await ask(idle, edge, 1)
        gone = asyncio.create_task(idle[0].read())

        async def another_comes() -> bool:
            async with edge.raw() as (reader, writer):
                writer.write(GET)
                assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 ")
            return gone.done()

        await eventually(another_comes, "the idle one to be closed")
        assert await gone == b""
