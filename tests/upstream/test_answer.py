"""The body of an answer whose connection breaks."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from registry_mesh.upstream.answer import Answer
from tests.eventually import eventually
from tests.simulators.registry import SimulatedRegistry
from tests.simulators.sender import Parent

SENT = bytes(range(256)) * 400
BEFORE = {
    "a length": f"Content-Length: {len(SENT) + 1}\r\n\r\n",
    "chunks": f"Transfer-Encoding: chunked\r\n\r\n{len(SENT) + 1:x}\r\n",
    "whole chunks": f"Transfer-Encoding: chunked\r\n\r\n1\r\n\0\r\n{len(SENT):x}\r\n",
}
"""What comes before the bytes of a body that is longer than they are."""


@pytest.mark.parametrize("told", BEFORE)
async def test_what_came_before_the_connection_broke_is_received(
    parent: SimulatedRegistry, told: str
) -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(f"HTTP/1.1 200 OK\r\n{BEFORE[told]}".encode() + SENT)
        request.transport.close()
        return web.StreamResponse()

    parent.answers["/blob"] = breaks_off
    sender, came = Parent(), b""
    async with aiohttp.ClientSession() as session, session.get(f"{parent.url}/blob") as response:
        await eventually(response.content.exception, "the connection to break")
        answer = Answer(response, sender)
        with answer.stall() as stall, pytest.raises(aiohttp.ClientPayloadError):
            while data := await answer.piece(stall):
                came += data
    assert came.endswith(SENT)
    assert sender.received == len(came)
