"""Plain HTTP at a listener with TLS, of clients and of operators."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest
import trustme

from registry_mesh.admin.server import AdminServer
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.roles.origin import Origin
from tests.admin.test_server import FakeNode

Opened = Callable[[ssl.SSLContext], AbstractAsyncContextManager[int]]
ASKED = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@asynccontextmanager
async def of_clients(tls: ssl.SSLContext) -> AsyncIterator[int]:
    def nothing(*_: object) -> Callable[..., object]:
        raise AssertionError("no repository is asked for")

    server = Server(Origin(None, nothing, nothing), Settings())  # type: ignore[arg-type]  # never called
    await server.start(ssl=tls)
    try:
        yield server.port
    finally:
        await server.close()


@asynccontextmanager
async def of_operators(tls: ssl.SSLContext) -> AsyncIterator[int]:
    server = AdminServer(FakeNode(), {"role": "site", "name": "x", "version": "1"})
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener, tls)
    try:
        yield listener.getsockname()[1]
    finally:
        await server.close()


LISTENERS = pytest.mark.parametrize("opened", [of_clients, of_operators])


async def said(port: int, request: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(request)
    answer = b""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(60):
            answer = await reader.readuntil(b"\r\n\r\n") if tls else await reader.read()
    writer.close()
    return answer


@LISTENERS
async def test_plain_http_is_told_to_speak_https(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    opened: Opened,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(contexts[0]) as port:
        with caplog.at_level(logging.WARNING, "registry_mesh.listening.plain"):
            for _ in range(2):
                answer = await said(port, ASKED)
                assert answer.startswith(b"HTTP/1.1 400 ")
                assert b"this port speaks HTTPS" in answer
        told = [each for each in caplog.records if each.name == "registry_mesh.listening.plain"]
        assert [record.getMessage() for record in told] == [
            f"127.0.0.1 speaks plain HTTP to port {port}, which speaks HTTPS: it is answered 400, and has to write "
            "https://"
        ], "a line a client, however often it comes"
        status = await said(
            port, b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", contexts[1]
        )
        assert status.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 404 ")), "who speaks TLS is served"


@LISTENERS
async def test_each_kind_of_request_has_an_answer(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], opened: Opened
) -> None:
    upload = (
        b"PUT /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n" + 400000 * b"x"
    )
    async with opened(contexts[0]) as port:
        for asked in (b"get / http/1.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", upload):
            head, _, body = (await said(port, asked)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ")
            assert body.startswith(b"this port speaks HTTPS"), asked[:20]
        head, _, body = (await said(port, b"HEAD /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert body == b"", "an answer to HEAD has none"
        for noise in (b"\x00\x01", b"\xff" * 400, b" GET /"):
            assert await said(port, noise) == b"", "it is no HTTP"
