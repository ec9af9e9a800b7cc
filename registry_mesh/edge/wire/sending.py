"""How bytes leave: the one place that touches a connection's socket.

On plain TCP a duplicate of the transport's descriptor is written to directly, bytes by send(2) and files by
sendfile(2), on asyncio and uvloop alike (neither loop's own sendfile serves both). The transport's buffer is empty
before the first direct write (`high=0` below), so the order holds; asyncio and uvloop keep their interest in the
original descriptor, we register ours on the duplicate.

On TLS, and where no descriptor is left for a duplicate, pieces of 256 KiB go through the transport, which says when it
has had enough.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from registry_mesh.edge.wire import cold_pages
from registry_mesh.edge.wire.unread import unread
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import FileSlice, Slices
from registry_mesh.ports.failures import StoreBroken

STEP: Final = 1 << 20
"""Bytes handed to the kernel at once; then other connections have their turn."""

_NOTSENT_LOWAT: Final = 25
"""From linux/tcp.h; Python has no name for it before 3.12."""

CROWD: Final = 8
SHARE: Final = 256 << 10
NEW: Final = 1.0
"""While more than `CROWD` connections of a listener are sent files, and one came within the last `NEW` seconds, a turn
sends at most `SHARE` bytes: a new connection has its request read, its fill joined and its head sent in turns of its
own, between those of all the others."""


MANY: Final = 2048
UNSENT: Final = 128 << 10
"""While more than `MANY` connections of a listener are sent files, the kernel keeps at most `UNSENT` bytes for a client
beyond what is on its way to it (tcp(7), TCP_NOTSENT_LOWAT): else each that was fast and stops keeps 4 MiB of a memory
that is one for all connections of the machine. It is half of what a worker answers at once, as it has its price: 1,000
clients that read whole blobs took 0.36 CPU-seconds a GiB with it, 0.26 without."""


class TooSlow(ConnectionAbortedError):
    """The store has taken away what a client was being sent that read next to nothing."""


@dataclass(slots=True)
class Crowd:
    """The connections of one listener, as far as they stand in each other's way."""

    newest: float = 0.0
    """When the last one came, in the loop's time."""
    pumps: int = 0
    """Files being sent."""
    many: int = MANY
    """So many that the kernel is to keep little for each."""


class Wire:
    """The sending side of one connection. One sender at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, crowd: Crowd) -> None:
        self._loop = loop
        self.crowd = crowd
        crowd.newest = loop.time()
        self._transport = transport
        self._tls = transport.get_extra_info("sslcontext") is not None
        self._socket: socket.socket | None = None
        self._drained: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self._closed = False
        self._left: Callable[[], Span] | None = None
        self._resting: tuple[Slices, Span] | None = None
        self.progress = 0
        """Bytes handed over in all."""
        if not self._tls:
            transport.set_write_buffer_limits(high=0)

    @property
    def waiting(self) -> bool:
        """Whether a sender waits for the client to read."""
        return self._writable is not None or self._drained is not None

    @property
    def taken(self) -> int:
        """Bytes that the client has taken in all, as far as its kernel has said so; a watchdog compares."""
        if self._closed:
            return self.progress
        sock = self._transport.get_extra_info("socket")
        return self.progress - self._transport.get_write_buffer_size() - unread(sock)

    # What the protocol tells

    def pause(self) -> None:
        """Let writers wait until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Let the writer that waits go on."""
        self._paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def close(self) -> None:
        """The connection is gone: every sender gets ConnectionResetError, and the duplicate is closed after its
        writer was removed (asyncio raises EBADF for every waiter otherwise)."""
        self._closed = True
        for waiter in (self._drained, self._writable):
            if waiter is not None and not waiter.done():
                waiter.set_exception(ConnectionResetError("the client has gone"))
        if self._socket is not None:
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None

    # What senders call

    async def write(self, data: bytes) -> None:
        """Hand over a small thing, e.g. a head; waits while the client does not read."""
        self._check()
        self._transport.write(data)
        self.progress += len(data)
        await self.drain()

    async def drain(self) -> None:
        """Wait until the transport has room (on plain TCP: until it is empty)."""
        while self._paused:
            self._check()
            self._drained = self._loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None
        self._check()

    async def send(self, data: bytes) -> None:
        """Send `data`, of any size, holding no copy of it."""
        view = memoryview(data)
        out = await self._direct()
        if out is None:
            for start in range(0, len(view), cold_pages.READ):
                await self.write(bytes(view[start : start + cold_pages.READ]))
            return
        offset = 0
        while offset < len(view):
            try:
                sent = out.send(view[offset : offset + STEP])
            except BlockingIOError:
                await self._until_writable()
                continue
            offset += sent
            self.progress += sent

    async def send_file(self, part: FileSlice) -> None:
        """Send a part of a file. `StoreBroken` where the file is shorter, or its disk fails."""
        try:
            out = await self._direct()
            await (self._copy_file(part) if out is None else _Pump(self, out, part).run())
        except StoreBroken:
            if part.broken is not None:
                part.broken()
            raise
        finally:
            self._left = self._resting = None

    async def _copy_file(self, part: FileSlice) -> None:
        offset = part.start
        self._left = lambda: Span(offset, part.stop)
        while offset < part.stop:
            self.wake()
            try:
                data = await cold_pages.read(part.fd, offset, part.stop)
            except OSError as fault:
                raise StoreBroken(f"a stored file cannot be read: {fault}") from fault
            if not data:
                raise StoreBroken(f"a stored file ends at {offset}, before {part.stop}")
            offset += len(data)
            await self.write(data)

    def rest(self, reading: Slices) -> None:
        """Let the store take away the file that is being sent, until its client takes more of it. `reading` gave it."""
        if self._left is None or self._resting is not None or not self.waiting:
            return
        left = self._left()
        if left and reading.rest(left):
            self._resting = (reading, left)

    def wake(self) -> None:
        """See that the file is still what it was, before the next byte of it is sent. `TooSlow` where it is not."""
        if self._resting is None:
            return
        (reading, left), self._resting = self._resting, None
        if not reading.still(left):
            raise TooSlow("the store has taken away what a slow client was being sent")

    async def _direct(self) -> socket.socket | None:
        """As `direct`, with nothing of ours left in the transport."""
        if self._tls:
            return None
        await self.drain()
        return self.direct()

    def direct(self) -> socket.socket | None:
        """The duplicate; the caller has seen that the transport is empty. None on TLS, after the end, and where there
        is no descriptor for it."""
        if self._tls or self._closed:
            return None
        if self._socket is None:
            try:
                fd = os.dup(self._transport.get_extra_info("socket").fileno())
            except OSError:
                return None
            self._socket = socket.socket(fileno=fd)
            self._socket.setblocking(False)
        return self._socket

    async def _until_writable(self, pump: Callable[[], None] | None = None) -> None:
        """Until the socket takes bytes; with `pump`, until that has resolved `_writable` itself."""
        self._check()
        assert self._socket is not None
        fd = self._socket.fileno()
        self._writable = self._loop.create_future()
        self._loop.add_writer(fd, pump or self._woken)
        try:
            await self._writable
        finally:
            self._writable = None
            if not self._closed:
                self._loop.remove_writer(fd)

    def _woken(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _failed(self, fault: Exception) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(fault)

    def _check(self) -> None:
        if self._closed or self._transport.is_closing():
            raise ConnectionResetError("the client has gone")


class _Pump:
    """sendfile(2), step by step, from the writer's callback: a task switch for each step costs more than the step.

    The callback stops for three reasons, and the coroutine looks which: all is sent, the next step's pages are
    not in memory, or something failed.
    """

    __slots__ = ("_fault", "_offset", "_out", "_part", "_warm_until", "_wire")

    def __init__(self, wire: Wire, out: socket.socket, part: FileSlice) -> None:
        self._wire = wire
        self._out = out
        self._part = part
        self._offset = part.start
        self._warm_until = part.start
        self._fault: OSError | None = None

    async def run(self) -> None:
        self._wire._left = lambda: Span(self._offset, self._part.stop)
        crowd = self._wire.crowd
        crowd.pumps += 1
        if crowd.pumps > crowd.many:
            self._out.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT)
        try:
            await self._run()
        finally:
            crowd.pumps -= 1

    async def _run(self) -> None:
        stop = self._part.stop
        while self._offset < stop:
            if not self._is_warm():
                await self._warm()
            self._wire._check()
            self._step()
            if self._offset < stop and self._fault is None:
                await self._wire._until_writable(self._pump)
            if self._fault is not None:
                raise self._fault

    def _is_warm(self) -> bool:
        if self._offset < self._warm_until:
            return True
        until = min(self._part.stop, self._offset + STEP)
        if cold_pages.resident(self._part.fd, self._offset, until):
            self._warm_until = until
            return True
        return False

    async def _warm(self) -> None:
        until = min(self._part.stop, self._offset + STEP)
        try:
            await cold_pages.warm(self._part.fd, self._offset, until)
        except OSError as fault:
            raise StoreBroken(f"a stored file cannot be read: {fault}") from fault
        self._warm_until = until

    def _step(self) -> None:
        """Send what is warm, once, as much as the socket takes."""
        self._wire.wake()
        until = min(self._part.stop, self._warm_until)
        crowd = self._wire.crowd
        if crowd.pumps > CROWD and self._wire._loop.time() < crowd.newest + NEW:
            until = min(until, self._offset + SHARE)
        try:
            sent = os.sendfile(self._out.fileno(), self._part.fd, self._offset, until - self._offset)
        except BlockingIOError:
            return
        except ConnectionError as fault:
            self._fault = fault
            return
        if not sent:
            raise StoreBroken(f"a stored file ends at {self._offset}, before {self._part.stop}")
        self._offset += sent
        self._wire.progress += sent

    def _pump(self) -> None:
        try:
            if self._is_warm():
                self._step()
        except Exception as fault:
            self._wire._failed(fault)
            return
        if self._fault is not None or self._offset >= self._part.stop or not self._is_warm():
            self._wire._woken()
