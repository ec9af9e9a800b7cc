"""Real sockets: hang-ups, slow readers, pipelining, broken HTTP, cold files, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.edge.wire import cold_pages
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import FileSlice, Piece
from registry_mesh.tasks.threads import in_thread
from tests.edge.conftest import Edge, Start, read_to_the_end
from tests.eventually import eventually
from tests.simulators.descriptors import no_more_descriptors

DATA = os.urandom(1 << 20) * 24


@pytest.fixture
def file(tmp_path: Path):  # type: ignore[no-untyped-def]
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def make_cold(file: int) -> None:
    """Take its pages out of memory."""
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    if cold_pages.resident(file, 8 << 20, 9 << 20):
        pytest.skip("this file system keeps its pages")


def slices(fd: int, step: int):  # type: ignore[no-untyped-def]
    async def pieces(span: Span) -> AsyncIterator[Piece]:
        for start in range(span.start, span.stop, step):
            yield FileSlice(fd, start, min(start + step, span.stop))

    return pieces


@pytest.mark.parametrize("step", [1, 4096, 1 << 20, 100_000_000], ids=str)
async def test_file_slices_of_any_size(edge: Edge, file: int, step: int) -> None:
    data = DATA[:3000] if step == 1 else DATA
    blob = edge.shelf.script(data, slices(file, step))
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{blob.info.digest}")
    assert answer.body == data


async def test_bytes_and_slices_mixed(edge: Edge, file: int) -> None:
    async def pieces(span: Span) -> AsyncIterator[Piece]:
        yield DATA[:70_000]
        yield FileSlice(file, 70_000, 2_000_000)
        yield DATA[2_000_000:3_000_000]
        yield b""
        yield FileSlice(file, 3_000_000, len(DATA))

    blob = edge.shelf.script(DATA, pieces)
    for _ in range(2):
        assert (await edge.ask("GET", f"/v2/team/app/blobs/{blob.info.digest}")).body == DATA


async def test_a_file_that_is_too_short_is_cut(edge: Edge, file: int) -> None:
    blob = edge.shelf.script(DATA + b"more", slices(file, 1 << 30))
    async with edge.raw() as (reader, writer):
        writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    assert DATA.startswith(body)


async def test_cold_pages_are_fetched_in_a_thread(edge: Edge, file: int) -> None:
    """While every thread is busy, what is in memory is sent, what is not waits, and nobody else does."""
    make_cold(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)  # the kernel reads nothing ahead
    os.pread(file, 2 << 20, 0)
    blob = edge.shelf.script(DATA, slices(file, 1 << 30))
    go_on = threading.Event()
    busy = [asyncio.ensure_future(in_thread(go_on.wait)) for _ in range(64)]
    try:
        async with edge.raw() as (reader, writer):
            writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            first = await asyncio.wait_for(reader.readexactly(1 << 20), 60)
            rest = asyncio.ensure_future(reader.readexactly(len(DATA) - len(first)))
            for _ in range(9):
                assert (await edge.ask("GET", "/v2/")).status == 200
            assert not cold_pages.resident(file, 22 << 20, 23 << 20), "nobody has read it"
            go_on.set()
            assert first + await asyncio.wait_for(rest, 60) == DATA
    finally:
        go_on.set()
        await asyncio.gather(*busy)


def test_residence_is_told_without_waiting(file: int) -> None:
    make_cold(file)
    os.pread(file, 1 << 20, 8 << 20)
    assert cold_pages.resident(file, 8 << 20, 9 << 20)


@pytest.mark.parametrize("kind", ["stalled", "slices", "bytes"])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_hang_up_closes_the_reading_at_once(edge: Edge, file: int, kind: str, reset: bool) -> None:
    async def stalled(span: Span) -> AsyncIterator[Piece]:
        yield b"x"
        await asyncio.sleep(3600)

    async def endless(span: Span) -> AsyncIterator[Piece]:
        for start in range(0, len(DATA), 1 << 20):
            yield DATA[start : start + (1 << 20)]

    pieces = {"stalled": stalled, "slices": slices(file, 1 << 30), "bytes": endless}[kind]
    blob = edge.shelf.script(DATA, pieces)
    async with edge.raw() as (reader, writer):
        writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        assert edge.server.running == 1
        if reset:
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        await eventually(lambda: blob.closed == 1)
    await eventually(lambda: edge.server.running == 0 and edge.server.connections <= 1)
    assert (await edge.ask("GET", "/v2/")).status == 200


async def test_a_slow_reader_holds_nothing_but_its_place(edge: Edge) -> None:
    """No more than a few pieces are taken from the source ahead of what the client reads."""
    given = 0

    async def pieces(span: Span) -> AsyncIterator[Piece]:
        nonlocal given
        for start in range(0, len(DATA), 1 << 18):
            given += 1 << 18
            yield DATA[start : start + (1 << 18)]

    blob = edge.shelf.script(DATA, pieces)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", edge.server.port))
    request = f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n"
    await loop.sock_sendall(sock, request.encode())
    await eventually(lambda: given > 0)
    await asyncio.sleep(0.3)
    assert given < 12 << 20
    got = bytearray()
    while len(got) < len(DATA):
        data = await loop.sock_recv(sock, 1 << 20)
        assert data
        got += data
    sock.close()
    assert bytes(got).partition(b"\r\n\r\n")[2] == DATA[: len(got) - got.index(b"\r\n\r\n") - 4]


async def test_what_a_client_takes_counts_and_not_what_its_socket_does(edge: Edge, file: int) -> None:
    """A socket that holds megabytes takes none for long while a client reads on."""
    blob = edge.shelf.script(DATA, slices(file, 1 << 30))
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", edge.server.port))
        request = f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n"
        await loop.sock_sendall(sock, request.encode())
        await eventually(lambda: edge.server.running, "its answer has begun")
        (wire,) = (each.wire for each in edge.server.connections_open() if each.wire is not None)
        await eventually(lambda: wire.waiting and wire.taken < wire.progress, "the socket is full")
        left = len(DATA)
        while left > 0:
            before, handed_over = wire.taken, wire.progress
            left -= len(await loop.sock_recv(sock, 1 << 16))
            await asyncio.sleep(0)
            if wire.taken > before and wire.progress == handed_over:
                return
    pytest.fail("the socket took more each time before the client was seen to have taken anything")


async def test_a_client_that_stops_reading_is_cut_off(start: Start, file: int) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL), send_timeout=0.2))
    blob = edge.shelf.script(DATA, slices(file, 1 << 30))
    async with edge.raw() as (reader, writer):
        writer.transport.pause_reading()
        writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await eventually(lambda: blob.opened == 1)
        await eventually(lambda: blob.closed == 1)
        await eventually(lambda: edge.server.running == 0, "the end of the answer")
        assert reader is not None


async def test_a_slow_source_is_not_taken_for_a_slow_client(start: Start) -> None:
    async def pieces(span: Span) -> AsyncIterator[Piece]:
        for start in range(4):
            await asyncio.sleep(0.15)
            yield bytes([start])

    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL), send_timeout=0.05))
    blob = edge.shelf.script(b"\0\1\2\3", pieces)
    assert (await edge.ask("GET", f"/v2/team/app/blobs/{blob.info.digest}")).body == b"\0\1\2\3"


async def test_pipelined_requests_are_answered_in_order(edge: Edge) -> None:
    digests = [await edge.shelf.put_blob(os.urandom(size)) for size in (10, 3 << 20, 0, 100_000, 7)]
    heads = [f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n" for digest in digests]
    async with edge.raw() as (reader, writer):
        writer.write("".join(heads * 8).encode())
        for digest in digests * 8:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert hashlib.sha256(await reader.readexactly(length)).hexdigest() == digest.hex


async def test_a_head_in_pieces(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(b"bytes")
    head = f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    async with edge.raw() as (reader, writer):
        for byte in head:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await reader.read()).endswith(b"\r\n\r\nbytes")


@pytest.mark.parametrize(
    ("request_", "keeps"),
    [
        (b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        (b"GET /v2/ HTTP/1.0\r\n\r\n", False),
        (b"GET /v2/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
async def test_keep_alive(edge: Edge, request_: bytes, keeps: bool) -> None:
    async with edge.raw() as (reader, writer):
        writer.write(request_)
        head = await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"{}"
        assert (b"\r\nConnection: close" in head) is (not keeps)
        writer.write(request_)
        if keeps:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        else:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""


@pytest.mark.parametrize(
    "bytes_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a TLS hello
        b"nonsense\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\n\r\n",  # no Host
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /v2/" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(500)) + b"\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n12345",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v2/a/tags/list HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked, identity\r\n\r\n0\r\n\r\n",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=range(17),
)
async def test_broken_http_is_refused_and_nothing_behind_it_is_read(edge: Edge, bytes_: bytes) -> None:
    async with edge.raw() as (reader, writer):
        writer.write(bytes_ + b"GET /v2/smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(60):
            answer = await read_to_the_end(reader)
    status = {b"nonsense\r": 405, b"GET /v2/x": 414}.get(bytes_[:9], 400)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1 and b"\r\nConnection: close\r\n" in answer
    assert b'"errors"' in answer
    assert (await edge.ask("GET", "/v2/")).status == 200


@pytest.mark.parametrize(
    "login",
    [
        b"Authorization: Basic c2VjcmV0" + b"x" * 40_000,
        b"Authorization: Basic c2VjcmV0\0",
        b"Authorization : Basic c2VjcmV0",
        b"Authorization: Basic\r\nc2VjcmV0",
    ],
)
async def test_a_refusal_of_broken_http_repeats_no_login(edge: Edge, login: bytes) -> None:
    async with edge.raw() as (reader, writer):
        writer.write(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n" + login + b"\r\n\r\n")
        async with asyncio.timeout(60):
            answer = await read_to_the_end(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"c2VjcmV0" not in answer


@pytest.mark.parametrize("method", ["FOO", "get", "BREW", "GETS", "x-y"])
async def test_a_method_that_nobody_knows_is_told_which_there_are(edge: Edge, method: str) -> None:
    async with edge.raw() as (reader, writer):
        writer.write(f"{method} /v2/ HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: DELETE, GET, HEAD, PATCH, POST, PUT\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["code"] == "UNSUPPORTED"


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "TLS/1.2", "foo, h2c"])
@pytest.mark.parametrize("apart", [True, False])
async def test_an_upgrade_is_not_taken_and_ends_the_connection(edge: Edge, upgrade: str, apart: bool) -> None:
    """The parser may drop what came in the same bytes: nobody is to wait for an answer to that."""
    async with edge.raw() as (reader, writer):
        writer.write(
            f"GET /v2/ HTTP/1.1\r\nHost: a\r\nUpgrade: {upgrade}\r\nConnection: Upgrade\r\n\r\n".encode()
        )
        if apart:
            await asyncio.sleep(0)
        writer.write(b"GET /v2/team/app/tags/list HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 60)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n{}")
    assert answer.count(b"HTTP/1.1 ") == 1 and b"\r\nConnection: close\r\n" in answer


async def test_this_is_no_proxy(edge: Edge) -> None:
    async with edge.raw() as (reader, writer):
        writer.write(b"CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example:80\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"Connection: close" in head
    async with edge.raw() as (reader, writer):
        writer.write(b"GET http://evil.example/v2/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(2) == b"{}"


async def test_chunks_that_are_none(edge: Edge) -> None:
    location = (await edge.ask("POST", "/v2/team/app/blobs/uploads/")).headers["location"]
    async with edge.raw() as (reader, writer):
        head = f"PATCH {location} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + b"5\r\n12345\r\nzz\r\nGET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await reader.read()
    assert b" 20" not in answer.split(b"\r\n")[0]
    assert answer.count(b"HTTP/1.0 ") + answer.count(b"HTTP/1.1 ") <= 1


async def test_a_compressed_upload_is_stored_as_it_came(edge: Edge) -> None:
    import gzip

    data = gzip.compress(b"x" * 1000)
    digest = hashlib.sha256(data).hexdigest()
    path = f"/v2/team/app/blobs/uploads/?digest=sha256:{digest}"
    assert (await edge.ask("POST", path, data, Content_Encoding="gzip")).status == 201
    answer = await edge.ask("GET", f"/v2/team/app/blobs/sha256:{digest}", Accept_Encoding="gzip")
    assert answer.body == data
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("kind", ["file", "bytes"])
async def test_without_a_descriptor_of_its_own_a_body_leaves_all_the_same(
    edge: Edge, file: int, kind: str
) -> None:
    """Whose connection was let in before the last descriptor went, is given the body that its head promised."""

    async def in_bytes(span: Span) -> AsyncIterator[Piece]:
        for start in range(span.start, span.stop, 1 << 20):
            yield DATA[start : min(start + (1 << 20), span.stop)]

    blob = edge.shelf.script(DATA, slices(file, 8 << 20) if kind == "file" else in_bytes)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.server.port)
    writer.write(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await reader.readexactly(2)
    with no_more_descriptors():
        writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(len(DATA)) == DATA
    writer.close()


async def test_over_tls(start: Start, file: int) -> None:
    edge = await start()
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    server = Server(edge.role, Settings(policy=AnonymousAccess(Level.ADMIN)))
    await server.start(host="localhost", ssl=server_context)
    url = f"https://localhost:{server.port}/v2/team/app/blobs"
    sliced = edge.shelf.script(DATA, slices(file, 1 << 30))
    stored = await edge.shelf.put_blob(DATA[: 5 << 20])
    try:
        async with aiohttp.ClientSession() as session:
            for digest, data in ((sliced.info.digest, DATA), (stored, DATA[: 5 << 20])):
                async with session.get(f"{url}/{digest}", ssl=client_context) as answer:
                    assert await answer.read() == data
                async with session.get(
                    f"{url}/{digest}", ssl=client_context, headers={"Range": "bytes=1000000-1999999"}
                ) as answer:
                    assert answer.status == 206
                    assert await answer.read() == data[1_000_000:2_000_000]
            sliced.closed = sliced.opened = 0
            answer = await session.get(f"{url}/{sliced.info.digest}", ssl=client_context)
            answer.close()
            await eventually(lambda: sliced.closed == sliced.opened == 1)
    finally:
        await server.close()
