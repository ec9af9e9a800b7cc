"""Lets connections in: a crowd together.

uvloop takes one connection from the queue in each turn of its loop. While a turn sends to hundreds of connections it
lasts tens of milliseconds, and of a thousand clients that come at once the last stood at the door for ten seconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl as tls
from collections.abc import Callable
from typing import Final

from registry_mesh.listening.plain import Plain

AT_ONCE: Final = 64
"""Connections in a turn."""

PAUSE: Final = 1.0
"""Seconds until the next try, where there are no descriptors or no memory for one more."""

_SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log: Final = logging.getLogger(__name__)


class Listener:
    """Has `sock`, which listens, and makes a protocol of each connection. To be closed. Where the machine is out of
    descriptors or memory, nobody is let in for `pause` seconds."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        ssl: tls.SSLContext | None,
        pause: float = PAUSE,
    ) -> None:
        self.sock = sock
        self._pause = pause
        self._protocol = protocol
        self._ssl = ssl
        self._plain = Plain()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
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
                    log.error(
                        "cannot let connections in: %s; trying again in %g s", fault.strerror, self._pause
                    )
                    self._loop.remove_reader(self.sock.fileno())
                    self._again = self._loop.call_later(self._pause, self._listen)
                    return
                continue  # it has gone already
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket) -> None:
        if self._ssl is not None and await self._plain.turned_away(connection):
            return
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection, ssl=self._ssl)
        except OSError as fault:  # no TLS, or gone: its transport has closed it
            log.debug("a connection did not come about: %s", fault)
