"""Plain HTTP at a port that speaks HTTPS: told so, instead of a connection that closes without a word."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

_HELLO: Final = 0x16
"""First byte of a TLS record that opens a handshake (RFC 8446 section 5.1)."""
_PATIENCE: Final = 60.0
"""Seconds until the first byte; as long as a handshake may take."""
_LINGER: Final = 5.0
"""Seconds for what was asked to come, and for the client to leave."""
_REMEMBERED: Final = 1024
"""Clients of which a line was logged."""
_SENTENCE: Final = b"this port speaks HTTPS: write https:// in front of the address\n"
_HEAD: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n" % len(_SENTENCE)
)

log: Final = logging.getLogger(__name__)


class Plain:
    """Turns away clients that do not speak TLS, and logs a line about each once."""

    def __init__(self) -> None:
        self._told: dict[str, None] = {}

    async def turned_away(self, connection: socket.socket) -> bool:
        """Return whether the client does not begin with TLS; it has its answer then, and the connection is closed."""
        first = await _first_byte(connection)
        if first == bytes([_HELLO]):
            return False
        if first.isalpha():
            self._log(connection)
            await _answer(connection)
        connection.close()
        return True

    def _log(self, connection: socket.socket) -> None:
        try:
            client, port = connection.getpeername()[0], connection.getsockname()[1]
        except (OSError, IndexError):
            return  # it has gone already
        if client in self._told:
            return
        while len(self._told) >= _REMEMBERED:
            del self._told[next(iter(self._told))]
        self._told[client] = None
        log.warning(
            "%s speaks plain HTTP to port %d, which speaks HTTPS: it is answered 400, and has to write https://",
            client,
            port,
        )


async def _first_byte(connection: socket.socket) -> bytes:
    """Peek; empty where none comes."""
    try:
        return connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        pass
    except OSError:
        return b""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection.fileno(), ready.set)
    try:
        async with asyncio.timeout(_PATIENCE):
            await ready.wait()
        return connection.recv(1, socket.MSG_PEEK)
    except (TimeoutError, OSError):
        return b""
    finally:
        loop.remove_reader(connection.fileno())


async def _answer(connection: socket.socket) -> None:
    """What was asked is read first, and what follows after: a socket closed with bytes unread resets the connection,
    answer and all."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LINGER):
            asked = await loop.sock_recv(connection, 64 << 10)
            await loop.sock_sendall(connection, _HEAD if asked.startswith(b"HEAD ") else _HEAD + _SENTENCE)
            connection.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(connection, 64 << 10):
                pass
    except (TimeoutError, OSError):
        return
