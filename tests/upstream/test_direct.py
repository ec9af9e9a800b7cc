"""A body received past the HTTP client, from a real socket of a scripted server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.direct import LEAST
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.simulators.descriptors import no_more_descriptors
from tests.simulators.upstream import PATIENT
from tests.suites.bytes_of import pattern

DATA = pattern(LEAST + 300_000, 5)
DIGEST = Digest.of(DATA)
Body = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


class Server:
    """Answers every GET with 206 or 200, and has the body sent by `body`."""

    def __init__(self) -> None:
        self.body: Body = whole
        self.chunked = False
        self.connections = 0
        self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        fields = [line for line in head.decode().split("\r\n") if line.lower().startswith("range: bytes=")]
        first = int(fields[0].partition("=")[2].partition("-")[0]) if fields else 0
        data = DATA[first:]
        status = f"206 Partial Content\r\nContent-Range: bytes {first}-{len(DATA) - 1}/{len(DATA)}"
        length = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(data)}"
        writer.write(f"HTTP/1.1 {status if fields else '200 OK'}\r\n{length}\r\n\r\n".encode())
        await self.body(writer, data)


async def whole(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    yield Server()


@pytest.fixture
async def app(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[UpstreamRegistry]:
    async with AsyncExitStack() as stack:
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        session = await stack.enter_async_context(open_session())
        patience = getattr(request, "param", PATIENT)
        parent = ParentSession(session, f"http://127.0.0.1:{port}", None, patience, ns="always")
        yield UpstreamRegistry(parent, RegistryName("registry.example"))
        listening.close()


async def receive(app: UpstreamRegistry, span: Span | None = None, *, buffer: int = 100_000) -> bytes:
    """As a transfer does: wait, then let a thread take what is there."""
    got = bytearray()
    blobs = app.repository(RepositoryName("team/app")).blobs
    async with blobs.open(DIGEST, span) as reading:
        with reading.direct() as body:
            assert body is not None
            while len(got) < len(reading.span):
                await body.ready(min(65536, len(reading.span) - len(got)))
                room = memoryview(bytearray(buffer))
                got += room[: await asyncio.to_thread(body.receive_into, room)]
    return bytes(got)


async def all_comes() -> None:
    """What is on its way from a server in this loop, however fast the machine is."""
    for _ in range(2):
        await asyncio.sleep(0.05)
        for _ in range(1000):
            await asyncio.sleep(0)


async def test_every_byte_comes_once_and_in_order(app: UpstreamRegistry) -> None:
    assert await receive(app) == DATA
    assert await receive(app, Span(1000, len(DATA))) == DATA[1000:]


async def test_without_a_descriptor_of_its_own_it_comes_through_the_client(app: UpstreamRegistry) -> None:
    async with app.repository(RepositoryName("team/app")).blobs.open(DIGEST) as reading:
        with no_more_descriptors(), reading.direct() as body:
            assert body is None
            got = b"".join([piece async for piece in reading.pieces()])  # type: ignore[misc]
    assert got == DATA


@pytest.mark.parametrize("size", [100, LEAST], ids=["small", "received by a thread"])
@pytest.mark.parametrize("least", [1, 50, 1 << 20])
async def test_what_was_waited_for_is_a_part_of_the_body(
    server: Server, app: UpstreamRegistry, size: int, least: int
) -> None:
    blobs = app.repository(RepositoryName("team/app")).blobs
    span = Span(len(DATA) - size, len(DATA))
    async with asyncio.timeout(60):
        async with blobs.open(DIGEST, span) as reading:
            for _ in range(2):  # again: nothing more is waited for
                await reading.begin(least)
            got = bytearray()
            with reading.direct() as body:
                assert (body is None) == (size < LEAST)
                while body is not None and len(got) < size:
                    await body.ready(1)
                    room = memoryview(bytearray(100_000))
                    got += room[: await asyncio.to_thread(body.receive_into, room)]
            if not got:
                got += b"".join([piece async for piece in reading.pieces()])  # type: ignore[misc]
    assert got == DATA[-size:]
    async with blobs.open(DIGEST, Span(len(DATA) - 1, len(DATA))):
        assert server.connections == 1, "it is as good as before"


async def test_a_body_that_does_not_begin_may_be_waited_for_again(
    server: Server, app: UpstreamRegistry
) -> None:
    may = asyncio.Event()

    async def later(writer: asyncio.StreamWriter, data: bytes) -> None:
        await may.wait()
        await whole(writer, data)

    server.body = later
    blobs = app.repository(RepositoryName("team/app")).blobs
    async with asyncio.timeout(60), blobs.open(DIGEST, Span(len(DATA) - 10, len(DATA))) as reading:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await reading.begin(10)
        may.set()
        await reading.begin(10)
        assert b"".join([piece async for piece in reading.pieces()]) == DATA[-10:]  # type: ignore[misc]


async def test_why_a_body_did_not_begin_its_reader_is_told(server: Server, app: UpstreamRegistry) -> None:
    async def breaks_off(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data[:4])
        await writer.drain()
        writer.close()

    server.body = breaks_off
    blobs = app.repository(RepositoryName("team/app")).blobs
    got = b""
    async with asyncio.timeout(60):
        with pytest.raises(SourceUnavailable):
            async with blobs.open(DIGEST, Span(len(DATA) - 10, len(DATA))) as reading:
                await reading.begin(10)
                async for piece in reading.pieces():
                    got += piece  # type: ignore[operator]
    assert DATA[-10:-6].startswith(got)


async def test_the_connection_is_good_for_the_next_request(server: Server, app: UpstreamRegistry) -> None:
    for _ in range(4):
        assert await receive(app) == DATA
    small = Span(len(DATA) - 10, len(DATA))
    blobs = app.repository(RepositoryName("team/app")).blobs
    async with (
        asyncio.timeout(60),
        blobs.open(DIGEST, small) as reading,
    ):  # its head is less than was waited for
        assert b"".join([piece async for piece in reading.pieces()]) == DATA[-10:]  # type: ignore[misc]
    assert (server.connections, server.requests) == (1, 5)


async def test_who_still_reads_the_body_before_takes_nothing_of_this_one(
    server: Server, app: UpstreamRegistry
) -> None:
    """A small body that has come to its end sets its connection free; it is read from memory after that, and the client
    wants more from the connection with every part that is read, whosever it is by then."""
    blobs = app.repository(RepositoryName("team/app")).blobs
    got = bytearray()
    async with asyncio.timeout(60), blobs.open(DIGEST, Span(len(DATA) - 900_000, len(DATA))) as small:
        before = small.pieces()
        first = await anext(before)
        await all_comes()
        async with blobs.open(DIGEST) as reading:
            assert server.connections == 1
            with reading.direct() as body:
                assert body is not None
                room = memoryview(bytearray(100_000))
                while body.left:
                    await body.ready(1)
                    got += room[: await asyncio.to_thread(body.receive_into, room)]
                    if first:
                        assert first + b"".join([piece async for piece in before]) == DATA[-900_000:]  # type: ignore[operator, misc]
                        first = b""
                        await asyncio.sleep(0.1)
    assert got == DATA
    assert await receive(app) == DATA
    assert (server.connections, server.requests) == (1, 3)


async def test_a_connection_with_bytes_left_on_it_is_not_used_again(
    server: Server, app: UpstreamRegistry
) -> None:
    async with app.repository(RepositoryName("team/app")).blobs.open(DIGEST) as reading:
        with reading.direct() as body:
            assert body is not None
            await body.ready(1)
            body.receive_into(memoryview(bytearray(1000)))
    assert await receive(app) == DATA
    assert server.connections == 2


async def test_a_stream_that_breaks_off_is_a_failure(server: Server, app: UpstreamRegistry) -> None:
    async def half(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data[: len(data) // 2])
        await writer.drain()
        writer.close()

    server.body = half
    with pytest.raises(SourceUnavailable, match=rf"broke off {len(DATA) - len(DATA) // 2} bytes before"):
        await receive(app)


@pytest.mark.parametrize("app", [replace(PATIENT, stall=0.4)], indirect=True)
async def test_a_stream_that_stands_still_is_a_failure(server: Server, app: UpstreamRegistry) -> None:
    never = asyncio.Event()

    async def half(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data[: len(data) // 2])
        await never.wait()

    server.body = half
    with pytest.raises(SourceUnavailable, match="stands still"):
        async with asyncio.timeout(25):
            await receive(app)


@pytest.mark.parametrize("app", [replace(PATIENT, stall=1.2)], indirect=True)
async def test_a_trickle_is_not_taken_for_a_standstill(server: Server, app: UpstreamRegistry) -> None:
    async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data[:-40])
        for at in range(
            len(data) - 40, len(data), 5
        ):  # 8 times 0.2 s, and none moves as much as is waited for
            await asyncio.sleep(0.2)
            writer.write(data[at : at + 5])

    server.body = trickle
    assert await receive(app) == DATA


@pytest.mark.parametrize("app", [replace(PATIENT, stall=0.4)], indirect=True)
async def test_what_came_while_this_process_stood_still_is_received(
    server: Server, app: UpstreamRegistry
) -> None:
    """Longer than a body may: that was not the parent's fault."""

    async def goes_on(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data[:-40])
        await asyncio.sleep(0.2)
        time.sleep(0.6)
        writer.write(data[-40:])

    server.body = goes_on
    assert await receive(app) == DATA


async def test_a_body_in_chunks_goes_the_clients_way(server: Server, app: UpstreamRegistry) -> None:
    async def in_two(writer: asyncio.StreamWriter, data: bytes) -> None:
        for part in (data[:1000], data[1000:], b""):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
        await writer.drain()

    server.chunked, server.body = True, in_two
    span = Span(10, len(DATA))
    async with app.repository(RepositoryName("team/app")).blobs.open(DIGEST, span) as reading:
        with reading.direct() as body:
            assert body is None
        assert b"".join([piece async for piece in reading.pieces()]) == DATA[10:]  # type: ignore[misc]


async def test_the_end_of_a_chunk_is_not_that_of_the_body(server: Server, app: UpstreamRegistry) -> None:
    """It may come alone, after the bytes of the chunk were taken."""
    taken = asyncio.Event()

    async def in_two(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(b"%x\r\n%s" % (1000, data[:1000]))
        await writer.drain()
        await taken.wait()
        writer.write(b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data) - 1000, data[1000:]))
        await writer.drain()

    server.chunked, server.body = True, in_two
    got = b""
    async with (
        asyncio.timeout(60),
        app.repository(RepositoryName("team/app")).blobs.open(DIGEST, Span(0, len(DATA))) as reading,
    ):
        async for piece in reading.pieces():
            got += piece  # type: ignore[operator]
            if len(got) >= 1000:
                taken.set()
    assert got == DATA


async def test_small_bodies_go_the_clients_way(app: UpstreamRegistry) -> None:
    span = Span(len(DATA) - LEAST + 1, len(DATA))
    async with app.repository(RepositoryName("team/app")).blobs.open(DIGEST, span) as reading:
        with reading.direct() as body:
            assert body is None
        assert b"".join([piece async for piece in reading.pieces()]) == DATA[span.start :]  # type: ignore[misc]
