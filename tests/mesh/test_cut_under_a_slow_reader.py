"""A blob's file is cut short while a slow client reads it; no parent can bring it back."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress

import pytest

from registry_mesh.chunks.chunk_map import MIB
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink, same
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow


async def test_a_slow_reader_of_a_file_that_is_cut_short_gets_no_zeros(behind_link: SiteBehindLink) -> None:
    world = behind_link
    whole = pattern(32 * MIB)
    digest = world.parent.add(whole)
    world.configure(workers=1)
    await world.start()
    for _ in range(3):
        assert same(await world.get(world.blob(digest)), 200, whole)
    path = world.node.folder / "store" / "blobs" / "sha256" / digest.hex[:2] / digest.hex
    await eventually(lambda: path.exists() and path.stat().st_size == len(whole), "all of it to be there")
    await asyncio.sleep(3)  # nothing is under way any more that would look at the file
    loop = asyncio.get_running_loop()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        slow.setblocking(False)
        await loop.sock_connect(slow, ("127.0.0.1", world.node.port))
        await loop.sock_sendall(slow, f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = await loop.sock_recv(slow, 4096)
        await asyncio.sleep(1)  # as much is on its way as will be
        world.link.conditions.refuse = True
        os.truncate(path, 24 * MIB)
        status, _ = await world.get(world.blob(digest), (30 * MIB, 30 * MIB + 9))
        assert status == 503
        with suppress(ConnectionResetError):  # it breaks off, in one way or the other
            while data := await loop.sock_recv(slow, 1 << 20):
                got += data
                if len(got) > len(whole):
                    break
    body = got.partition(b"\r\n\r\n")[2]
    wrong = next(
        (at for at in range(0, len(body), 4096) if body[at : at + 4096] != whole[at : at + 4096]), None
    )
    assert wrong is None, f"{len(body)} bytes, wrong from {wrong}: {body[wrong : wrong + 9]!r}"
