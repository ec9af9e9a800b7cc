"""A blob that comes faster than its store takes it: killed, a process loses no more than a chunk of what it received.

What lay in the buffers of the connection is counted by the kernel, and was not received.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.rivals import NoRivals
from registry_mesh.content.snapshot.copying.copy_blob import Arriving
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCTETS
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.stores.disk.remainders import DiskRemainders
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.eventually import eventually_here
from tests.simulators.death import killed_when
from tests.simulators.images import random_bytes
from tests.simulators.upstream import PATIENT

SIZE = 32 * MIB
DATA = random_bytes("faster than its store", SIZE)
BLOB = Descriptor(OCTETS, Digest.of(DATA), SIZE)
TAKEN = 5 * MIB


class BlobServer:
    """Sends the blob, as much of it as is asked for, and counts what it gave to the kernel."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.port: int = listening.getsockname()[1]
        self.sent = 0

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                while head := b"".join(iter(lines.readline, b"\r\n")):
                    self._answer(connection, head.decode().lower())
            except OSError:  # it was killed
                return

    def _answer(self, connection: socket.socket, head: str) -> None:
        begin = int(head.partition("range: bytes=")[2].partition("-")[0] or 0)
        if "/blobs/" not in head:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        status = f"206 Partial\r\nContent-Range: bytes {begin}-{SIZE - 1}/{SIZE}" if begin else "200 OK"
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {SIZE - begin}\r\n\r\n".encode())
        for at in range(begin, SIZE, 10_000):
            piece = DATA[at : at + 10_000]
            while piece:
                size = connection.send(piece)
                self.sent, piece = self.sent + size, piece[size:]


@contextmanager
def serving() -> Iterator[BlobServer]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = BlobServer(listening)
        threading.Thread(target=server.run, daemon=True).start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)


class Store:
    """An ingest that takes so many bytes, and then none for a long time."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.taken = bytearray()

    @property
    def offset(self) -> int:
        return len(self.taken)

    async def write(self, data: bytes) -> None:
        if self.offset + len(data) > self._room:
            await asyncio.sleep(3600)
        self.taken += data

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        return BlobInfo(Digest.of(self.taken), self.offset)


@asynccontextmanager
async def parent_at(port: int) -> AsyncIterator[UpstreamRegistry]:
    async with open_session(Way(hosts=frozenset({"127.0.0.1"}))) as session:
        parent = ParentSession(session, f"http://127.0.0.1:{port}", None, PATIENT, ns="always")
        yield UpstreamRegistry(parent, RegistryName("registry.example"))


async def bring(port: int, aside: Path, room: int) -> bytes:
    store = Store(room)
    async with parent_at(port) as parent, DiskRemainders(aside).of(BLOB.digest) as remainder:
        blobs = parent.repository(RepositoryName("team/app")).blobs
        await Arriving(blobs, BLOB, lambda size: None, NoRivals(), remainder).stream(store)
    return bytes(store.taken)


def in_the_kernel(port: int) -> int:
    """Bytes that the server's side has not had acknowledged, and those that its clients have not received."""
    total = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        to_send, to_receive = (int(each, 16) for each in queues.split(":"))
        total += to_send * local.endswith(f":{port:04X}") + to_receive * remote.endswith(f":{port:04X}")
    return total


def test_what_was_received_and_waits_for_the_store_is_kept(tmp_path: Path) -> None:
    aside, lost = tmp_path / "arriving", list[int]()
    with serving() as server:

        def stands_still(child: int) -> None:
            seen = -1

            def full() -> bool:
                nonlocal seen
                seen, before = server.sent, seen
                return seen > TAKEN + MIB and seen == before

            eventually_here(full, "the buffers to be full")
            os.kill(child, signal.SIGSTOP)
            lost.append(server.sent - in_the_kernel(server.port))

        killed_when(lambda: bring(server.port, aside, TAKEN), stands_still)
        server.sent = 0
        assert asyncio.run(bring(server.port, aside, SIZE)) == DATA
        assert lost[0] + server.sent - SIZE <= CHUNK
