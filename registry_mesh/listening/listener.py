"""Lets connections in: a crowd together.

uvloop takes one connection from the queue in each turn of its loop. While a turn sends to hundreds of connections it
lasts tens of milliseconds, and of a thousand clients that come at once the last stood at the door for ten seconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import socket
import ssl as tls
from collections.abc import Callable
from typing import Final

from registry_mesh.listening.plain import Plain

AT_ONCE: Final = 64
"""Connections in a turn."""

PAUSE: Final = 1.0
"""Seconds until the next try, where there are no descriptors or no memory for one more."""

HANDSHAKES: Final = 4096
"""Connections that may be at the door at once, TLS not yet agreed upon: as many as wait before it."""

TOLD: Final = 60.0
"""Seconds until the log says the same again."""

_SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log: Final = logging.getLogger(__name__)


class Listener:
    """Has `sock`, which listens, and makes a protocol of each connection. To be closed. Where the machine is out of
    descriptors or memory, nobody is let in for `pause` seconds. Of more than `handshakes` connections that have not
    agreed upon TLS the oldest is dropped: whoever says nothing keeps nobody out. `make_room` closes a connection that
    can be spared, if there is one: for each that comes from the descriptor `few` on, and where none is left."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        ssl: tls.SSLContext | None,
        pause: float = PAUSE,
        handshakes: int = HANDSHAKES,
        few: float = math.inf,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self.sock = sock
        self._pause = pause
        self._handshakes = handshakes
        self._few, self._make_room = few, make_room
        self._protocol = protocol
        self._ssl = ssl
        self._plain = Plain()
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], None] = {}
        """Of connections that have no protocol yet, the oldest first."""
        self._dropped_at = -math.inf
        self._again: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._listen()

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self.sock.fileno(), self._accept)

    @property
    def entering(self) -> bool:
        """Whether somebody was let in who has no protocol yet."""
        return bool(self._tasks)

    def close(self) -> None:
        """Let nobody else in."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self.sock.fileno())
        self.sock.close()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as fault:
                if fault.errno in _SHORT:
                    self._wait(fault)
                    return
                continue  # it has gone already
            if connection.fileno() >= self._few:
                self._make_room()
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._tasks[task] = None
            task.add_done_callback(self._came)
            if self._ssl is not None and len(self._tasks) > self._handshakes:
                self._drop()

    def _wait(self, fault: OSError) -> None:
        log.error("cannot let connections in: %s; trying again in %g s", fault.strerror, self._pause)
        self._loop.remove_reader(self.sock.fileno())
        self._again = self._loop.call_later(self._pause, self._listen)
        for _ in range(AT_ONCE):
            if not self._make_room():
                return

    def _came(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)

    def _drop(self) -> None:
        oldest = next(iter(self._tasks))
        del self._tasks[oldest]
        oldest.cancel()
        now = self._loop.time()
        if now - self._dropped_at >= TOLD:
            self._dropped_at = now
            log.warning(
                "more than %d connections have not agreed upon TLS: the oldest are dropped", self._handshakes
            )

    async def _connect(self, connection: socket.socket) -> None:
        try:
            if self._ssl is not None and await self._plain.turned_away(connection):
                return
        except asyncio.CancelledError:
            connection.close()
            raise
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection, ssl=self._ssl)
        except OSError as fault:  # no TLS, or gone: its transport has closed it
            log.debug("a connection did not come about: %s", fault)
