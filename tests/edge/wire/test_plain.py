"""Plain HTTP at a listener with TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest
import trustme

from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.roles.origin import Origin


@pytest.fixture
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def said(port: int, request: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(request)
    answer = b""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(20):
            answer = await reader.readuntil(b"\r\n\r\n") if tls else await reader.read()
    writer.close()
    return answer


async def test_plain_http_is_told_to_speak_https(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    def nothing(*_: object) -> Callable[..., object]:
        raise AssertionError("no repository is asked for")

    server = Server(Origin(None, nothing, nothing), Settings())  # type: ignore[arg-type]  # never called
    await server.start(ssl=contexts[0])
    try:
        request = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
        assert (await said(server.port, request)).startswith(b"HTTP/1.1 400 ")
        assert b"this port speaks HTTPS" in await said(server.port, request)
        assert await said(server.port, b"\x00\x01") == b""
        assert (await said(server.port, request, contexts[1])).startswith(b"HTTP/1.1 200 ")
    finally:
        await server.close()
