"""Clients that read next to nothing: they keep nobody out, and nothing in the store."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.edge.patience import LOOKS
from registry_mesh.edge.settings import Settings
from registry_mesh.edge.wire.sending import UNSENT
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import StoreFull
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from tests.edge.conftest import Edge, Start
from tests.eventually import eventually
from tests.simulators.role import SimulatedRole
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern

SETTINGS = Settings(policy=AnonymousAccess(Level.PULL), send_timeout=60.0, hot_idle=0.2)
"""Who takes nothing is cut off after a minute, longer than anything here waits."""
QUOTA = 12 * MIB
SIZE = 8 * MIB


@asynccontextmanager
async def reading_nothing(edge: Edge, digest: Digest, span: str = "") -> AsyncIterator[socket.socket]:
    """A client that has asked for the blob and whose kernel takes next to nothing of it."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", edge.server.port))
        head = f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\n{span}\r\n"
        running = edge.server.running
        await loop.sock_sendall(sock, head.encode())
        await eventually(lambda: edge.server.running > running, "its answer has begun")
        yield sock


async def rest_of(sock: socket.socket) -> bytes:
    """What comes until the connection ends, in whatever way."""
    got = bytearray()
    loop = asyncio.get_running_loop()
    while True:
        try:
            data = await loop.sock_recv(sock, 1 << 20)
        except ConnectionResetError:
            return bytes(got)
        if not data:
            return bytes(got)
        got += data


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    store = await DiskStore.start(tmp_path / "store", quota=QUOTA, evict=True, fsync=DiskFsync.NEVER)
    yield store
    await store.close()


def site_over(store: DiskStore) -> SimulatedRole:
    role = SimulatedRole("site")
    role.store = store  # type: ignore[assignment]  # of its store the role wants no more than this one has
    return role


async def test_who_reads_nothing_makes_room_for_who_asks(start: Start, store: DiskStore) -> None:
    edge = await start(site_over(store), replace(SETTINGS, max_streams=3))
    digest = await put(store, pattern(SIZE, 0))
    edge.shelf.links.add(digest)
    nobody = [reading_nothing(edge, digest) for _ in range(3)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with nobody[0], nobody[1], nobody[2]:
        status = (await edge.ask("GET", "/v2/")).status
        looked = loop.time() - began >= SETTINGS.send_timeout / LOOKS
        assert status == 503 or looked, "nobody is told to go who has just come"
        await eventually(lambda: edge.ask("GET", "/v2/"), "room", until=lambda answer: answer.status == 200)
        await eventually(lambda: edge.server.running == 2, "one of them has gone")


@pytest.mark.parametrize("span", ["", f"Range: bytes=0-{3 * MIB}\r\n"], ids=["whole", "a hot range"])
async def test_what_is_not_read_on_is_not_kept(start: Start, store: DiskStore, span: str) -> None:
    """A blob that only slow clients read makes room for another. Its client gets no byte that is another than it was,
    and no end."""
    edge = await start(site_over(store), SETTINGS)
    data = pattern(SIZE, 0)
    digest = await put(store, data)
    edge.shelf.links.add(digest)
    for _ in range(3):  # from then on it is hot
        assert (await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range="bytes=0-9")).status == 206
    async with reading_nothing(edge, digest, span) as sock:
        await eventually(lambda: _fits(store), "room for another blob")
        head, _, body = (await rest_of(sock)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 20")
    assert len(body) < (3 * MIB if span else SIZE)
    assert body == data[: len(body)]


async def _fits(store: DiskStore) -> bool:
    try:
        await put(store, pattern(SIZE, 1))
    except StoreFull:
        return False
    return True


async def test_the_kernel_keeps_little_for_each_of_many(start: Start, store: DiskStore) -> None:
    """What is not on its way to a client is bounded once there are many: it is memory that all connections share."""
    edge = await start(site_over(store), SETTINGS)
    digest = await put(store, pattern(SIZE, 0))
    edge.shelf.links.add(digest)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(reading_nothing(edge, digest))
        (wire,) = (each.wire for each in edge.server.connections_open() if each.wire is not None)
        wire.crowd.many = many = 16
        for number in range(1, many + 8):
            await stack.enter_async_context(reading_nothing(edge, digest))
            assert not _bounded(edge) or number >= many
        await eventually(lambda: _bounded(edge) >= 7, "the last ones to be bounded")


def _bounded(edge: Edge) -> int:
    """Connections for which the kernel keeps at most `UNSENT` bytes."""
    wires = [each.wire for each in edge.server.connections_open() if each.wire is not None]
    sockets = [sock for wire in wires if (sock := wire.direct()) is not None]
    return sum(sock.getsockopt(socket.IPPROTO_TCP, 25) == UNSENT for sock in sockets)
