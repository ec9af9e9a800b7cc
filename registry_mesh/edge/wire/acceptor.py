"""Makes connections of a chosen class and knows them all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from aiohttp import web

from registry_mesh.edge.wire.connection import Connection
from registry_mesh.edge.wire.door import Door
from registry_mesh.edge.wire.sending import Crowd

_LINE: Final = 32 << 10
"""podman sends 12 kB of ranges in one field."""
_BUFFER: Final = 256 << 10
"""Of a request body; twice as much is held before the client is made to wait."""
_LINGER: Final = 5.0
"""Seconds to read on after an answer that came before the whole request body."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Acceptor(web.Server):
    """The protocol factory. `connection` makes a `Connection` from what `Connection` takes."""

    def __init__(
        self,
        handler: Handler,
        connection: Callable[..., Connection] = Connection,
        *,
        keepalive: float = 75.0,
        door: Door | None = None,
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._connection = connection
        self._keepalive = keepalive
        self._door = door or Door()
        self._crowd = Crowd()

    def __call__(self) -> Connection:
        return self._connection(
            self,
            crowd=self._crowd,
            door=self._door,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=self._keepalive,
            max_line_size=_LINE,
            max_field_size=_LINE,
            lingering_time=_LINGER,
            read_bufsize=_BUFFER,
            auto_decompress=False,
        )

    def open_connections(self) -> Iterator[Connection]:
        """Each connection that is open."""
        for each in self.connections:
            assert isinstance(each, Connection)
            yield each
