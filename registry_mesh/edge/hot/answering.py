"""What the two ways of sending a hot answer have in common: the socket, and what is counted."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from aiohttp import web

from registry_mesh.edge.entity_tags import not_modified
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.hot.recognise import KnownBlob, KnownManifest
from registry_mesh.edge.hot.remainder import Remainder
from registry_mesh.edge.hot.tally import Tally
from registry_mesh.edge.wire.connection import Connection


class Answering(Connection):
    """A connection that can send what is hot. What is checked for each hit is what may change from one to the next, and
    costs some tens of nanoseconds; what a hit costs and why it is done so: docs/performance.md.
    """

    __slots__ = ("_client", "_is_clear", "_out", "_peer", "_remainder", "_sock")

    def __init__(self, manager: web.Server, **kwargs: Any) -> None:  # Any: aiohttp's own keywords
        super().__init__(manager, **kwargs)
        self._remainder: Remainder | None = None
        self._sock: socket.socket | None = None
        self._out = -1
        self._client = self._peer = ""
        self._is_clear = False
        """Whether the transport holds nothing back, and aiohttp knows that the connection stays: so it is from one hit
        to the next, until the transport is written to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the client's address."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._client = f'","client":{json.dumps(self._peer)},'

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave what is being sent, and end as every connection does."""
        if self._remainder is not None:
            self._remainder.leave()
            self._remainder = None
        self._sock = None
        super().connection_lost(exc)

    def _direct(self) -> socket.socket | None:
        """The plain socket; None on TLS and after the end."""
        if self.wire is not None and (sock := self.wire.direct()) is not None:
            self._sock, self._out = sock, sock.fileno()
        return self._sock

    def _clear(self) -> bool:
        """Whether what was sent before has left, so that the socket may be written to."""
        transport = self.transport
        if transport is None or transport.get_write_buffer_size():
            return False
        self._keepalive = self._is_clear = True
        return True

    def _write(self, data: bytes) -> None:
        """At once where the socket is plain; a transport leaves it for the end of its turn."""
        sock, sent = self._sock or self._direct(), 0
        if sock is not None:
            try:
                sent = sock.send(data)
            except OSError:
                sent = 0  # full, or gone: the transport will see which
        if sent < len(data) and self.transport is not None:
            self._is_clear = False
            self.transport.write(data[sent:])

    def _used(self, path: FastPath, tally: Tally, size: int, now: float) -> None:
        """Count an answer with `size` bytes of body, also against the client where it is bounded."""
        if not tally.answers:
            path.tallies.due(tally)
        tally.answers += 1
        tally.bytes += size
        self.last_used = now
        if path.client_limits is not None:
            path.client_limits.spend(self.client, size, now)

    def _count(
        self, path: FastPath, known: KnownManifest | KnownBlob, counts: dict[str, int], who: str, amount: int
    ) -> None:
        """Count what is sent for the caller."""
        fetched = known.entry.shape.fetched
        if who in counts:
            counts[who] += amount
        elif path.pulled is not None and fetched is not None:
            path.pulled.begin(fetched, counts, who, amount)

    def _process_keepalive(self) -> None:
        """A client that is slow to read is not an idle one, and one that had hits lately is not either."""
        if self._remainder is None:
            last = self.last_used + self._keepalive_timeout
            self._next_keepalive_close_time = max(self._next_keepalive_close_time, last)
            super()._process_keepalive()
        else:
            self._keepalive_handle = self._loop.call_later(self._keepalive_timeout, self._process_keepalive)

    def _go_on(self) -> None:
        """The remainder has left."""
        self._remainder = None
        self.busy = False
        self.last_used = self._loop.time()


def is_same(condition: bytes, etag: bytes) -> bool:
    """Whether the client that sent `condition` as If-None-Match has what `etag` stands for. Mostly the field has one
    tag as long as this: it is the same, or it is not."""
    if len(condition) == len(etag):
        return condition == etag
    return not_modified(condition.decode(), etag.decode())
