"""A body received by a worker thread straight from its socket, past the HTTP client.

The client's way of a byte is: a read by the loop, a copy into bytes, a copy by the parser, a queue, a thread. Of a
large body over plain HTTP the client parses the head; then its transport stands still, and the thread that writes and
hashes the body reads the rest. A body received to its last byte leaves the connection as the client would, good for the
next request. TLS is the client's business: those bodies go the client's way.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.ports.failures import SourceSlow, SourceUnavailable
from registry_mesh.upstream.health.floor import Floor
from registry_mesh.upstream.sender import Sender

LEAST: Final = 4 * MIB
"""Bodies that are smaller are not worth it: most of it is here by the time the head was read."""

GATHER: Final = 0.004
GATHERED: Final = 512 << 10
"""After the first bytes: so many seconds are waited for so many bytes. To wake a thread costs some 100 us, whatever it
then finds."""

TURNS: Final = 3
"""Of the loop, in which it has looked at all its sockets."""


class DirectBody:
    """Implements `ports.blobs.DirectBody`. Made by `direct_body`."""

    def __init__(
        self,
        connection: socket.socket,
        early: deque[memoryview],
        length: int,
        session: Sender,
        registry: str,
        came: Callable[[], None],
    ) -> None:
        self._came = came
        self._connection = connection
        self._early = early
        self._session = session
        self._registry = registry
        self._drained = False  # the socket had no more at the last look
        self._begun = False
        self._unheard = 0
        self._floor = Floor(session.drip)
        self._left_then = length
        self._parent_then = session.received
        self.left = length
        """Bytes of the body that were not received yet."""

    async def ready(self, least: int) -> None:
        """Return when `least` bytes are there, a little later where more are likely, or at the stream's end; when
        fewer are and no more came for a quarter of the time for which a body may stand still. `SourceUnavailable`
        after the whole of it without a byte, `SourceSlow` where next to nothing comes for longer."""
        self.note()
        if not self._drained:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._wait(least)
        session = self._session
        received, parent = self._left_then - self.left, session.received - self._parent_then
        self._left_then, self._parent_then = self.left, session.received
        if self._floor.drips(loop.time() - began, received, parent, session.inflight):
            raise SourceSlow("sends next to nothing", source=session.name)

    async def _wait(self, least: int) -> None:
        stall = self._session.stall
        steps = [(GATHERED, GATHER)] if self._begun else []
        self._begun = True
        for bytes_wanted, seconds in (*steps, (least, stall / 4), (1, stall * 3 / 4)):
            _wake_for(self._connection, min(bytes_wanted, self.left))
            if await _readable(self._connection, seconds):
                return
        if await _readable_by_now(self._connection):
            return
        raise SourceUnavailable("stands still", source=self._session.name)

    def receive_into(self, buffer: memoryview) -> int:
        """In a worker thread: what is there, up to the buffer's end; the number of bytes."""
        received = 0
        limit = min(len(buffer), self.left)
        self._drained = False
        while received < limit and not self._drained:
            received += self._some(buffer[received:limit], received)
        self.left -= received
        self._unheard += received
        return received

    def _some(self, buffer: memoryview, before: int) -> int:
        if self._early:
            data = self._early.popleft()
            size = min(len(data), len(buffer))
            buffer[:size] = data[:size]
            if size < len(data):
                self._early.appendleft(data[size:])
            return size
        try:
            size = self._connection.recv_into(buffer)
        except BlockingIOError:
            self._drained = True
            return 0
        except OSError as fault:
            raise SourceUnavailable(f"broke off: {fault.strerror}", source=self._session.name) from None
        if not size and not before:
            raise SourceUnavailable(f"broke off {self.left} bytes before the end", source=self._session.name)
        self._drained = not size
        return size

    def note(self) -> None:
        """Count what was received."""
        if self._unheard:
            self._came()
            self._session.heard(self._unheard, self._registry)
            self._unheard = 0


@contextmanager
def direct_body(
    response: aiohttp.ClientResponse,
    length: int,
    session: Sender,
    registry: str = "",
    came: Callable[[], None] = lambda: None,
    before: Iterable[bytes] = (),
) -> Iterator[DirectBody | None]:
    """The body of `length` bytes whose head was read just now; None where it should go the client's way. `came` is
    called when bytes have come; those `before` have been taken from the client already."""
    protocol = response.connection.protocol if response.connection is not None else None
    transport = protocol.transport if protocol is not None else None
    if (
        length < LEAST
        or response.content_length != length  # it comes in chunks
        or protocol is None
        or transport is None
        or transport.is_closing()
        or transport.get_extra_info("sslcontext") is not None
    ):
        yield None
        return
    try:
        fd = os.dup(transport.get_extra_info("socket").fileno())
    except OSError:  # no descriptor is left
        yield None
        return
    early: deque[memoryview] = deque(memoryview(data) for data in before)
    while data := response.content.read_nowait():  # has the client go on where it had stopped
        early.append(memoryview(data))
    with (
        _standing_still(protocol, transport),
        socket.socket(fileno=fd) as connection,
    ):
        body = DirectBody(connection, early, length, session, registry, came)
        try:
            yield body
        finally:
            body.note()
            _wake_for(connection, 1)
    if not body.left:
        response.content.feed_eof()  # the connection is free, as if the client had parsed the body


@contextmanager
def _standing_still(protocol: ResponseHandler, transport: asyncio.Transport) -> Iterator[None]:
    """Have the client read nothing from a connection, even where it is told to.

    A body that came to its end set its connection free, and may still be read from memory: each part that is taken
    has the client read on from the connection (`StreamReader.read_nowait`), though another body comes on it by now.
    """
    transport.pause_reading()
    standing = _Standing(transport)
    protocol.transport = cast(asyncio.Transport, standing)
    try:
        yield
    finally:
        if cast(object, protocol.transport) is standing:  # else the connection was closed
            protocol.transport = transport


class _Standing:
    """A transport that does all it is told but read."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def resume_reading(self) -> None:
        return


def _wake_for(connection: socket.socket, size: int) -> None:
    """Take it for readable once it has `size` bytes, or its end (socket(7), SO_RCVLOWAT)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


async def _readable(connection: socket.socket, seconds: float) -> bool:
    """Whether it became readable in that time."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    fd = connection.fileno()
    loop.add_reader(fd, _done, readable)
    try:
        async with asyncio.timeout(seconds):
            await readable
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(fd)
    return True


async def _readable_by_now(connection: socket.socket) -> bool:
    """It was perhaps this process that stood still: let what came meanwhile be seen before it is said that nothing
    did."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    fd = connection.fileno()
    loop.add_reader(fd, _done, readable)
    try:
        for _ in range(TURNS):
            await asyncio.sleep(0)
    finally:
        loop.remove_reader(fd)
    return readable.done()


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
