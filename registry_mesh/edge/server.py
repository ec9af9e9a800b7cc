"""A listener over a role: started, drained, closed."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl as tls
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from registry_mesh.edge.dispatch import Dispatch, Handler
from registry_mesh.edge.held_lines import HeldLines
from registry_mesh.edge.hot.connection import FastConnection
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.meters import Meters
from registry_mesh.edge.moving import longest
from registry_mesh.edge.outer_ring import OuterRing
from registry_mesh.edge.settings import Settings
from registry_mesh.edge.traffic import Traffic
from registry_mesh.edge.wire.acceptor import Acceptor
from registry_mesh.edge.wire.connection import Connection
from registry_mesh.edge.wire.door import Door
from registry_mesh.edge.wire.idlers import Idlers
from registry_mesh.listening.listener import HANDSHAKES, Listener
from registry_mesh.listening.parting import Believes, part
from registry_mesh.ports.moving import MovingBody
from registry_mesh.ports.pulls import Pull
from registry_mesh.ports.role import Role
from registry_mesh.telemetry.instruments import Instruments

BACKLOG: Final = 4096
SPARE: Final = 8
"""One in so many descriptors is kept for parents and files: beyond, who comes takes the place of who is idle."""


class Server:
    """Serves `role` on one address. Several may serve the same role, e.g. with and without TLS."""

    def __init__(
        self,
        role: Role,
        settings: Settings,
        *,
        extensions: Mapping[str, Handler] | None = None,
        instruments: Instruments | None = None,
    ) -> None:
        self._settings = settings
        instruments = instruments or Instruments.alone()
        self._traffic = Traffic(settings, Meters(instruments), HeldLines(instruments))
        # What an origin answers may change with any push, here or in another process: it has no hot answers.
        fast = settings.fast and role.name != "origin"
        self.hot = Hot(settings.hot_idle, settings.hot_files) if fast else None
        """What the fast path may answer; None where there is none."""
        self.ring = OuterRing(Dispatch(role, extensions), role.name, self._traffic, self.hot)
        self._fast: FastPath | None = None
        self._acceptor: Acceptor | None = None
        self._listeners: list[Listener] = []
        self.port = 0

    def __repr__(self) -> str:
        open_ = len(self._acceptor.connections) if self._acceptor else 0
        return f"<Server :{self.port} {open_} connections, {self._traffic.running} running>"

    @property
    def running(self) -> int:
        """Requests being answered."""
        return self._traffic.running

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._acceptor.connections) if self._acceptor else 0

    async def start(
        self,
        sock: socket.socket | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        """Listen on `sock`, else on `host` and `port` (0: any that is free). OSError where that is not to be had."""
        self._traffic.access_log.open()
        self._traffic.audit_log.open()
        self._acceptor = Acceptor(
            self.ring,
            self._connection(),
            keepalive=self._settings.keepalive_timeout,
            door=Door(self._settings.max_connections, self._settings.client_limits),
        )
        if sock is None:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.create_server((host, port), family=family)
        self.port = sock.getsockname()[1]
        self.listen(sock, ssl)

    def listen(self, sock: socket.socket, ssl: tls.SSLContext | None = None) -> None:
        """Let connections in by one more socket; after `start`."""
        assert self._acceptor is not None, "started"
        sock.listen(BACKLOG)
        few, at_door = math.inf, HANDSHAKES
        if files := self._settings.descriptors:
            few, at_door = files - files // SPARE, min(HANDSHAKES, max(1, files // 2))
        idlers = Idlers(self.connections_open, self._settings.drain_idle, asyncio.get_running_loop().time)
        self._listeners.append(
            Listener(sock, self._acceptor, ssl, handshakes=at_door, few=few, make_room=idlers.make_room)
        )

    def reopen_log(self) -> None:
        """Go on with the access log in the file that has its name now."""
        self._traffic.access_log.reopen()
        self._traffic.audit_log.reopen()

    def audit(self, line: str) -> None:
        """Keep a line of the audit log, if there is one, about what nobody who is answered has changed."""
        self._traffic.audit_log.add(line)
        self._traffic.audit_log.hurry()

    def take_pulls(self, day: str) -> list[Pull]:
        """What clients fetched since the last time, as of `day`; nothing where it is not counted."""
        pulled = self._traffic.pulled
        return pulled.take(day, self._settings.name) if pulled is not None else []

    def sending(self, most: int) -> tuple[list[MovingBody], int]:
        """Of the bodies on their way to clients, but for short ones of what is hot, the `most` that take longest, and
        how many there are."""
        return longest(self.ring.under_way, asyncio.get_running_loop().time(), most)

    def _connection(self) -> Callable[..., Connection]:
        if self.hot is None:
            return Connection
        self.hot.start()
        self._fast = FastPath(self._traffic, self.hot, asyncio.get_running_loop())
        return partial(FastConnection, self._fast)

    def connections_open(self) -> Iterator[Connection]:
        """Each client connection there is now."""
        return self._acceptor.open_connections() if self._acceptor else iter(())

    def part(self, believes: Believes) -> None:
        """End connections whose client showed a certificate that is not believed any more; see `listening.parting`."""
        part(self.connections_open(), lambda one: one.busy, believes)

    async def drain(self, seconds: float, *, replaced: bool = False) -> None:
        """Accept no more; go on answering on the connections there are, ranges of lazy readers above all, until
        all have gone quiet or `seconds` are over. Then `close`. `replaced`: others listen there, so that clients are
        asked to come again to them after the answer they wait for."""
        if self._acceptor is None:
            return
        listeners = list(self._listeners)
        self._stop_listening()
        self._traffic.leaving = replaced
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (self.connections or any(each.entering for each in listeners)) and loop.time() < deadline:
            for connection in self._acceptor.open_connections():
                if replaced:
                    connection.let_go()  # and ends by itself: a client might just be asking something
                    continue
                quiet = loop.time() - connection.last_used
                if not connection.busy and quiet >= self._settings.drain_idle:
                    connection.force_close()
            await asyncio.sleep(min(0.05, seconds))

    async def close(self) -> None:
        """End now: bodies on their way are cut."""
        if self._acceptor is None:
            return
        self._stop_listening()
        while self._acceptor.connections:
            for connection in self._acceptor.open_connections():
                connection.abort()
            await asyncio.sleep(0.01)
        self._acceptor = None
        if self._fast is not None:
            self._fast.tallies.add_up()
        if self.hot is not None:
            await self.hot.close()
        await self._traffic.access_log.close()
        await self._traffic.audit_log.close()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
