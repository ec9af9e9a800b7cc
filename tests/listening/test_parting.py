"""What is being answered to a client that is not believed any more has a few seconds yet."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest
import trustme
from aiohttp import web

from registry_mesh.listening.parting import part


async def test_an_answer_that_does_not_end_is_cut() -> None:
    """A short one comes whole: the client asked for it when it was believed."""
    authority, clients = trustme.CA(), trustme.CA()
    context, shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(shown)
    clients.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    clients.issue_cert("site.example").configure_cert(shown)
    go_on = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        body = web.StreamResponse()
        await body.prepare(request)
        await body.write(b"begun ")
        await go_on.wait() if request.path == "/short" else await asyncio.Event().wait()
        await body.write(b"ended")
        return body

    server = web.Server(answer, handler_cancellation=True)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        connector = aiohttp.TCPConnector(ssl=shown)
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.get(f"{url}/short") as short,
            client.get(f"{url}/long") as long,
        ):
            for each in (short, long):
                assert await each.content.readexactly(6) == b"begun "
            asked = part(server.connections, lambda one: True, lambda certificate: False, last=3600)
            assert len(asked) == 2
            go_on.set()
            async with asyncio.timeout(60):
                assert await short.content.read() == b"ended"
            assert not long.content.at_eof()
            part(server.connections, lambda one: True, lambda certificate: True, last=0)
            part(server.connections, lambda one: True, lambda certificate: False, last=0.05)
            async with asyncio.timeout(60):
                with pytest.raises(aiohttp.ClientError):
                    await long.content.read()
            for each in asked:
                each.cancel()
    finally:
        listener.close()
        await server.shutdown(0)
