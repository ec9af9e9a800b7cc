"""Start, drain and close; the access log; limits on connections."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Piece, Provenance
from tests.edge.conftest import ADMIN, Edge, Start, read_to_the_end
from tests.eventually import eventually
from tests.simulators.role import SimulatedRole

DRAIN_IDLE = 60.0
"""Seconds: longer than the machine stands still."""
GET = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_socket_of_the_caller() -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", 0))
    server = Server(SimulatedRole(), Settings())
    await server.start(sock)
    assert server.port == sock.getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(GET)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await server.close()
    assert (await reader.read()).endswith(b"{}")
    writer.close()
    with pytest.raises(OSError, match=r"\[Errno 111\]"):
        await asyncio.open_connection("127.0.0.1", server.port)
    await server.close()


async def test_draining_finishes_bodies_and_goes_on_answering_open_connections(start: Start) -> None:
    gate = asyncio.Event()

    async def pieces(span: Span) -> AsyncIterator[Piece]:
        yield b"a"
        await gate.wait()
        yield b"b"

    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL), drain_idle=DRAIN_IDLE))
    blob = edge.shelf.script(b"ab", pieces)
    digest = await edge.shelf.put_blob(b"0123456789")
    async with edge.raw() as (slow, slow_writer), edge.raw() as (lazy, lazy_writer), edge.raw() as (idle, _):
        slow_writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await slow.readuntil(b"\r\n\r\n")
        await eventually(lambda: edge.server.connections == 3, "all of them")
        as_if_long_ago(edge)
        lazy_writer.write(GET)
        await lazy.readuntil(b"{}")
        drain = asyncio.ensure_future(edge.server.drain(600))
        await asyncio.sleep(0.05)
        with pytest.raises(OSError, match="111"):
            await asyncio.open_connection("127.0.0.1", edge.server.port)
        for _ in range(5):
            ranged = f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n"
            lazy_writer.write(ranged.encode())
            head = await lazy.readuntil(b"\r\n\r\n")
            assert b" 206 " in head
            assert b"Connection: close" not in head
            assert await lazy.readexactly(3) == b"234"
            await asyncio.sleep(0.05)
        assert await idle.read() == b""
        assert not drain.done()
        gate.set()
        assert await slow.readexactly(2) == b"ab"
        await eventually(lambda: not edge.server.running, "the end of the answer")
        as_if_long_ago(edge)
        assert (await slow.read(), await lazy.read()) == (b"", b"")
        await asyncio.wait_for(drain, 60)
        assert edge.server.connections == 0


def as_if_long_ago(edge: Edge) -> None:
    """What its connections were used for until now."""
    for connection in edge.server.connections_open():
        connection.last_used -= DRAIN_IDLE


async def test_draining_ends_at_its_deadline(start: Start) -> None:
    async def pieces(span: Span) -> AsyncIterator[Piece]:
        yield b"a"
        await asyncio.sleep(3600)

    edge = await start()
    blob = edge.shelf.script(b"ab", pieces)
    async with edge.raw() as (reader, writer):
        writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(edge.server.drain(0.2), 60)
        assert edge.server.running == 1
        await edge.server.close()
        assert await reader.read() == b"a"
        assert (blob.opened, blob.closed) == (1, 1)


async def test_too_many_connections(start: Start) -> None:
    """Who came last is refused: those there may be lazy readers, who have no second host."""
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL), max_connections=2))
    async with edge.raw() as one, edge.raw() as two:
        for reader, writer in (one, two):
            writer.write(GET)
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 ")
        async with edge.raw() as (reader, writer):
            writer.write(GET)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in answer
            assert b"\r\nConnection: close\r\n" in answer
        for reader, writer in (one, two):
            writer.write(GET)
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 ")


async def test_the_access_log(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    role = SimulatedRole("site")
    role.provenance = Provenance(hit=False, source="parent", age=1)
    edge = await start(role, Settings(access_log=str(path)))
    digest = await edge.shelf.put_blob(bytes(5000))
    blob = f"/v2/team/app/blobs/{digest}"
    await edge.ask("GET", blob + "?secret=1", Range="bytes=0-99", User_Agent='x"\\y', X_Request_Id="id-1")
    await edge.ask("HEAD", blob)
    await edge.ask("GET", "/v2/team/app/tags/list")
    await edge.ask("PUT", "/v2/team/app/manifests/t", b"x")
    await edge.ask("GET", "/v2/%2e%2e")
    await edge.server.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["status"] for line in lines] == [206, 200, 200, 405, 400]
    first = lines[0]
    assert first | {"time": 0, "seconds": 0, "client": ""} == {
        "time": 0,
        "id": "id-1",
        "client": "",
        "method": "GET",
        "path": blob,
        "status": 206,
        "bytes": 100,
        "seconds": 0,
        "agent": 'x"\\y',
        "registry": "registry.example",
        "cache": "hit",
        "range": "bytes=0-99",
    }
    assert lines[2]["cache"] == "miss"
    assert lines[2]["source"] == "parent"
    assert "secret" not in path.read_text()


async def test_the_log_says_who_left(start: Start, tmp_path: Path) -> None:
    async def pieces(span: Span) -> AsyncIterator[Piece]:
        yield b"a"
        await asyncio.sleep(3600)

    path = tmp_path / "access.log"
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL), access_log=str(path)))
    blob = edge.shelf.script(b"ab", pieces)
    async with edge.raw() as (reader, writer):
        writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
    await eventually(lambda: not edge.server.running, "the end of the answer")
    await edge.server.close()
    line = json.loads(path.read_text())
    assert (line["status"], line["bytes"], line["broken"]) == (200, 1, "client")


async def test_the_log_is_written_every_second(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL), access_log=str(path)))
    await edge.ask("GET", "/v2/")
    await eventually(path.read_text, "the line to be written")


async def test_no_descriptor_is_lost(start: Start) -> None:
    edge = await start(settings=ADMIN)
    digest = await edge.shelf.put_blob(bytes(3 << 20))
    path = f"/v2/team/app/blobs/{digest}"
    await edge.ask("GET", path)
    await edge.session.close()
    await eventually(lambda: not edge.server.connections, "the connection to close")
    before = len(os.listdir("/proc/self/fd"))
    for number in range(30):
        async with edge.raw() as (reader, writer):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await reader.readexactly(1 + number * 1000)
            writer.transport.abort()
    await eventually(lambda: not edge.server.connections, "the connections to close")
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before, "the descriptors to be closed")


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"", b""),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ", b""),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ", b"a"),
        (GET + b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ", b"a"),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(50)), b"Z: z\r\n"),
    ],
    ids=["nothing", "half a head", "a head in drops", "a second head in drops", "fields in drops"],
)
async def test_a_head_that_does_not_come_holds_no_connection(first: bytes, drip: bytes, start: Start) -> None:
    settings = Settings(policy=AnonymousAccess(Level.PULL), keepalive_timeout=0.4)
    edge = await start(settings=settings)
    async with edge.raw() as (reader, writer):
        writer.write(first)
        answered = asyncio.create_task(read_to_the_end(reader))
        async with asyncio.timeout(20):
            while not answered.done():
                writer.write(drip)
                await asyncio.sleep(0.05)
        assert (await answered).count(b"HTTP/1.1 200 ") == first.startswith(GET)


async def test_what_came_while_this_process_stood_still_is_answered(start: Start) -> None:
    """Though its connection's time is over by then: it is not its client that was late."""
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL), keepalive_timeout=0.2))
    loop = asyncio.get_running_loop()
    client, (ours, theirs) = socket.create_connection(("127.0.0.1", edge.server.port)), socket.socketpair()

    def stand_still() -> None:
        """In the middle of what the loop does with sockets: a client asks meanwhile."""
        loop.remove_reader(ours)
        client.sendall(GET)
        time.sleep(0.5)

    with client, ours, theirs:
        client.setblocking(False)
        await eventually(lambda: edge.server.connections, "the connection")
        for _ in range(2):
            loop.add_reader(ours, stand_still)
            theirs.sendall(b"x")
            async with asyncio.timeout(60):
                assert (await loop.sock_recv(client, 1 << 16)).startswith(b"HTTP/1.1 200 ")
        async with asyncio.timeout(60):
            assert await loop.sock_recv(client, 1) == b"", "it has its end all the same"


@pytest.mark.parametrize(
    "fields",
    [b"X: " + b"y" * 2_000_000, b"\r\n".join(b"X%d: y" % i for i in range(100_000))],
    ids=["one field of 2 MB", "100,000 fields"],
)
async def test_a_head_without_end_is_refused(fields: bytes, start: Start) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL)))
    async with edge.raw() as (reader, writer):
        writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + fields)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
