"""What `hit_budget` and `pull_budget` measure on: a server over a store, and the other end of a connection to it."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.content.fill.fills import Fills
from registry_mesh.edge.hot.connection import FastConnection
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.place import Place
from registry_mesh.ports.role import Role
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.disk.store import DiskStore

SIZE: Final = 32 << 20
RANGE: Final = 64 << 10
ROUNDS: Final = 60
CALLS: Final = 100
REGISTRY: Final = RegistryName("registry.example")
FIELDS: Final = "Host: site\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: identity\r\n"


class Client:
    """The other end of one connection; it reads so that the server's socket is never full."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setblocking(False)

    async def ask(self, request: bytes) -> bytes:
        """The whole answer."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._sock, request)
        answer = await loop.sock_recv(self._sock, 1 << 20)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += await loop.sock_recv(self._sock, 1 << 20)
        return head + b"\r\n\r\n" + body

    def drop(self, least: int = 0) -> int:
        """Read all that has come, and wait for `least` bytes of it: on a busy machine they come late, and what is not
        read fills the server's socket."""
        total = 0
        while True:
            try:
                total += len(self._sock.recv(1 << 20))
            except BlockingIOError:
                if total >= least:
                    return total
                select.select([self._sock], [], [], 10)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


def timed(call: Callable[[int], object], between: Callable[[], object] = lambda: None) -> float:
    """Microseconds of one call: the lowest of the means of rounds, for what others do on the machine only adds to
    it. `between` is not counted."""
    clock, means = time.perf_counter_ns, []
    for _ in range(ROUNDS):
        spent = 0
        for number in range(CALLS):
            begun = clock()
            call(number)
            spent += clock() - begun
            between()
        means.append(spent / CALLS / 1000)
    return min(means)


def request(digest: Digest, number: int, length: int = RANGE) -> bytes:
    """For a range of the blob, each number another one."""
    start = number * 7919 * 4096 % (SIZE - RANGE)
    path = f"/v2/team/app/blobs/{digest}"
    return f"GET {path} HTTP/1.1\r\n{FIELDS}Range: bytes={start}-{start + length - 1}\r\n\r\n".encode()


@asynccontextmanager
async def opened_site(folder: Path) -> AsyncIterator[tuple[Site, Digest]]:
    """A site that holds one blob."""
    store = await DiskStore.start(folder, evict=True)
    data = os.urandom(SIZE)
    digest = Digest.of(data)
    async with store.ingest(digest, SIZE) as ingest:
        for start in range(0, SIZE, 1 << 20):
            await ingest.write(data[start : start + (1 << 20)])
        await ingest.commit(digest)
    await store.note_names(Place(REGISTRY, RepositoryName("team/app")), [digest])
    fills = Fills(store)
    site = Site(store, store.records, fills, {REGISTRY: SiteRegistry([[]])})
    try:
        yield site, digest
    finally:
        await site.close()
        await fills.close()
        await store.close()


@asynccontextmanager
async def serving(role: Role, log: Path) -> AsyncIterator[tuple[Server, Client]]:
    """A server of the role with everything on, and a client of it."""
    settings = Settings(
        policy=AnonymousAccess(Level.PULL), default_registry=REGISTRY, access_log=str(log), hot_idle=60
    )
    server = Server(role, settings)
    await server.start()
    client = Client(server.port)
    try:
        yield server, client
    finally:
        client.close()
        await server.close()


def accepted(server: Server) -> FastConnection:
    """The server's end of its first connection."""
    connection = next(server.connections_open())
    assert isinstance(connection, FastConnection)
    return connection
