"""A wide-area link in front of a server: slow, far, counting, and faulty on demand.

An HTTP/1.1 relay between two TCP sides, with asyncio alone. The delay stands on the request's way, so an answer's
first byte comes one round trip later than without the link, and a connection costs one round trip more. The rate
is shared by all connections, towards the client. Bodies are framed by Content-Length or end with the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import socket
import struct
import termios
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field

from tests.simulators.window import SEGMENT, Window

GULP = 128 << 10
HEAD_LIMIT = 64 << 10


@dataclass(slots=True)
class Conditions:
    """What the link does to those who use it; may be changed at any time."""

    rate: float | None = None
    """Bytes a second, for all connections together."""
    rate_each: float | None = None
    """Bytes a second, of each connection, as on a long way with losses."""
    rtt: float = 0.0
    """Seconds added to each connection and to each request."""
    loss: float = 0.0
    """Part of the segments that a connection loses; its window (`window`) is what it may send in `rtt` then."""
    cut_every: int | None = None
    """Reset a connection after this many bytes of bodies."""
    stall_after: int | None = None
    """Let nothing through after this many bytes of one body."""
    flip_at: int | None = None
    """Offset in the blob of the byte whose lowest bit is flipped."""
    ignore_ranges: bool = False
    """Forward ranged requests without their Range: the server answers 200."""
    wrong_content_range: bool = False
    """Content-Range names bytes one further than those that follow."""
    refuse: bool = False
    """Reset connections as soon as they are accepted, and those that are there at their next request."""
    hang: bool = False
    """Accept and never answer."""
    status: int | None = None
    """Answer with this status instead of asking the server."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One request that went over the link."""

    method: str
    target: str
    range: str | None
    status: int
    body_bytes: int


@dataclass(slots=True)
class Counts:
    """What went over the link since the last `reset`."""

    connections: int = 0
    requests: int = 0
    pings: int = 0
    """Of those: processes of a node send them whenever they have not heard of a parent for some seconds."""
    body_bytes: int = 0
    ping_bytes: int = 0
    """Of those: bodies of what pings were answered with."""
    passed: deque[Passed] = field(default_factory=lambda: deque(maxlen=20_000))


class _Bucket:
    """Tells when the next bytes may leave. A quiet time earns 2 ms of credit, no more."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def take(self, count: int, rate: float | None) -> None:
        if not rate:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now - 0.002) + count / rate
        if self._free_at - now > 0.001:
            await asyncio.sleep(self._free_at - now)


class _Side:
    """One socket with the bytes read ahead of it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._ahead = b""
        self.bucket = _Bucket()
        self.window: Window | None = None
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(GULP))

    @property
    def gulp(self) -> int:
        """Bytes that are sent at once: a quarter of a window at most."""
        return GULP if self.window is None else max(SEGMENT, int(self.window.size * SEGMENT / 4))

    async def read_head(self) -> bytes:
        """Up to and with the empty line; b"" where the other side is gone."""
        head = self._ahead
        while (end := head.find(b"\r\n\r\n")) < 0:
            if len(head) > HEAD_LIMIT:
                return b""
            more = await self._loop.sock_recv(self.sock, 16384)
            if not more:
                return b""
            head += more
        self._ahead = head[end + 4 :]
        return head[: end + 4]

    async def read(self, most: int) -> memoryview:
        if self._ahead:
            part, self._ahead = self._ahead[:most], self._ahead[most:]
            return memoryview(part)
        count = await self._loop.sock_recv_into(self.sock, self._buffer[: min(most, GULP)])
        return self._buffer[:count]

    async def write(self, data: bytes | memoryview) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def paced(self, size: int, rate: float | None) -> None:
        """Return when `size` bytes may leave."""
        await self.bucket.take(size, self.window.rate if self.window else rate)
        if self.window:
            self.window.sent(size)

    async def drained(self) -> None:
        """Until the other side's kernel has all that was written: a reset drops what it has not (tcp(7), SIOCOUTQ)."""
        async with asyncio.timeout(30):
            while struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0" * 4))[0]:
                await asyncio.sleep(0.005)

    def reset(self) -> None:
        """Close so that the other side sees a reset, not an end."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def _field(head: bytes, name: bytes) -> str | None:
    found = re.search(rb"\r\n" + name + rb":[ \t]*([^\r\n]*)", head, re.IGNORECASE)
    return found[1].decode("latin-1").strip() if found else None


def _is_ping(head: bytes) -> bool:
    return head.split(b" ", 2)[1].partition(b"?")[0].rstrip(b"/") == b"/v2"


def _without(head: bytes, name: bytes) -> bytes:
    return re.sub(rb"\r\n" + name + rb":[^\r\n]*", b"", head, flags=re.IGNORECASE)


def _shift_content_range(head: bytes) -> bytes:
    def shifted(found: re.Match[bytes]) -> bytes:
        return b"bytes %d-%d/" % (int(found[1]) + 1, int(found[2]) + 1)

    return re.sub(rb"bytes (\d+)-(\d+)/", shifted, head, count=1)


class _Cut(Exception):
    """The link breaks here."""


class Link:
    """`async with Link(host, port) as link: link.port`."""

    def __init__(
        self, to_host: str, to_port: int, conditions: Conditions | None = None, port: int = 0
    ) -> None:
        self.conditions = conditions or Conditions()
        self.counts = Counts()
        self.port = port
        self._to = (to_host, to_port)
        self._bucket = _Bucket()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset_counts(self) -> None:
        self.counts = Counts()

    async def __aenter__(self) -> Link:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=4096)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._keep(self._accept(self._listener))
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener:
            self._listener.close()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(listener)
            self._keep(self._carry(_Side(sock)))

    async def _carry(self, client: _Side) -> None:
        client.sock.setblocking(False)
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.counts.connections += 1
        if self.conditions.loss:
            client.window = Window(self.conditions.rtt, self.conditions.loss, self.counts.connections)
        server: _Side | None = None
        try:
            if self.conditions.refuse:
                raise _Cut
            await asyncio.sleep(self.conditions.rtt)
            server = await self._dial()
            await self._converse(client, server)
            client.sock.close()
        except (OSError, _Cut, ValueError):
            client.reset()
        except asyncio.CancelledError:
            client.reset()
            raise
        finally:
            if server is not None:
                server.reset()

    async def _dial(self) -> _Side:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(sock, self._to)
        except BaseException:
            sock.close()
            raise
        return _Side(sock)

    async def _converse(self, client: _Side, server: _Side) -> None:
        carried = 0  # bytes of bodies over this connection
        while request := await client.read_head():
            if self.conditions.refuse:
                raise _Cut
            self.counts.requests += 1
            self.counts.pings += _is_ping(request)
            await asyncio.sleep(self.conditions.rtt)
            if self.conditions.hang:
                await asyncio.sleep(3600)
            if self.conditions.status:
                await self._answer_itself(client, request, self.conditions.status)
                continue
            keep, body = await self._exchange(client, server, request, carried)
            carried += body
            if not keep:
                return

    async def _answer_itself(self, client: _Side, request: bytes, status: int) -> None:
        method, target, _ = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        self.counts.passed.append(Passed(method, target, _field(request, b"range"), status, 0))
        await client.write(b"HTTP/1.1 %d Simulated\r\nContent-Length: 0\r\n\r\n" % status)

    async def _exchange(self, client: _Side, server: _Side, request: bytes, carried: int) -> tuple[bool, int]:
        """One request and its answer. Whether the connection lives on, and the body's bytes."""
        conditions = self.conditions
        method, target, _ = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        asked = _field(request, b"range")
        await server.write(_without(request, b"range") if conditions.ignore_ranges else request)
        await self._send_up(client, server, int(_field(request, b"content-length") or 0))
        head = await server.read_head()
        while head.startswith(b"HTTP/1.1 1"):
            await client.write(head)
            head = await server.read_head()
        if not head:
            raise _Cut
        status = int(head[9:12])
        length = _field(head, b"content-length")
        bare = method == "HEAD" or status in (204, 304)
        left = 0 if bare else int(length) if length is not None else 1 << 62
        start = re.match(r"bytes (\d+)-", _field(head, b"content-range") or "")
        await client.write(_shift_content_range(head) if conditions.wrong_content_range else head)
        body = 0
        try:
            async for count in self._send_down(client, server, left, int(start[1]) if start else 0, carried):
                body += count
                self.counts.body_bytes += count
                self.counts.ping_bytes += count if _is_ping(request) else 0
        finally:
            self.counts.passed.append(Passed(method, target, asked, status, body))
        ends = "close" in (_field(head, b"connection") or "").lower()
        return (bare or length is not None) and not ends, body

    async def _send_up(self, client: _Side, server: _Side, left: int) -> None:
        while left:
            part = await client.read(left)
            if not part:
                raise _Cut
            await server.write(part)
            left -= len(part)

    async def _send_down(
        self, client: _Side, server: _Side, left: int, offset: int, carried: int
    ) -> AsyncIterator[int]:
        """Yields the bytes of each part once it is with the client."""
        sent = 0
        while left:
            conditions = self.conditions
            most = left
            if conditions.cut_every:
                most = min(most, conditions.cut_every - (carried + sent) % conditions.cut_every)
            if conditions.stall_after is not None:
                most = min(most, conditions.stall_after - sent)
                if most <= 0:
                    await asyncio.sleep(3600)
            part = await server.read(min(most, client.gulp))
            if not part:
                if left < 1 << 61:
                    raise _Cut
                return
            if conditions.flip_at is not None and 0 <= conditions.flip_at - offset - sent < len(part):
                spoiled = bytearray(part)
                spoiled[conditions.flip_at - offset - sent] ^= 1
                part = memoryview(spoiled)
            await self._bucket.take(len(part), conditions.rate)
            await client.paced(len(part), conditions.rate_each)
            await client.write(part)
            sent += len(part)
            left -= len(part)
            yield len(part)
            if conditions.cut_every and (carried + sent) % conditions.cut_every == 0:
                await client.drained()
                raise _Cut
