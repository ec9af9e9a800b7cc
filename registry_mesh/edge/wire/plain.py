"""Plain HTTP at a port that speaks HTTPS: told so, instead of a connection that closes without a word."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

_HELLO: Final = 0x16
"""First byte of a TLS record that opens a handshake (RFC 8446 section 5.1)."""
_PATIENCE: Final = 60.0
"""Seconds until the first byte; as long as a handshake may take."""
_SENTENCE: Final = b"this port speaks HTTPS: write https:// in front of the address\n"
_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_SENTENCE), _SENTENCE)
)


async def turned_away(connection: socket.socket) -> bool:
    """Return whether the client does not begin with TLS; it has its answer then, and the connection is closed."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_PATIENCE):
            await _readable(loop, connection)
        first = connection.recv(1, socket.MSG_PEEK)
    except (TimeoutError, OSError):
        first = b""
    if first[:1] == bytes([_HELLO]):
        return False
    if first.isalpha():
        await _answer(loop, connection)
    connection.close()
    return True


async def _readable(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    ready = asyncio.Event()
    loop.add_reader(connection.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection.fileno())


async def _answer(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """What was asked is read first: a socket closed with bytes unread resets the connection, answer and all."""
    try:
        async with asyncio.timeout(1.0):
            await loop.sock_recv(connection, 64 << 10)
            await loop.sock_sendall(connection, _ANSWER)
            connection.shutdown(socket.SHUT_WR)
            await loop.sock_recv(connection, 64 << 10)
    except (TimeoutError, OSError):
        return
