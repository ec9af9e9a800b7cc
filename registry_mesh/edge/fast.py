"""The fast path: hits answered before aiohttp parses anything.

`data_received` looks at the raw bytes. One complete GET or HEAD for something hot, with fields that cannot change
the answer, is answered at once: a manifest by one write from memory, a span of a blob by one send and one sendfile.
Everything else goes to aiohttp untouched, and so do all requests that come while something is being answered the
slow way. What the answer holds is what the slow path would have answered, byte for byte but for the variable
fields (Date, X-Request-Id, Age); a differential test sends every shape of request through both.

Measured beside nginx static on one pinned core, without access check, log and metrics: manifests 0.83 ×, ranges of
64 KiB 1.1 × its CPU time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from registry_mesh.auth.access import Verdict
from registry_mesh.edge import cold_pages, head
from registry_mesh.edge.connection import Connection
from registry_mesh.oci.span import Span

if TYPE_CHECKING:
    from registry_mesh.edge.acceptor import Acceptor
    from registry_mesh.edge.hot import HotBlob, HotManifest
    from registry_mesh.edge.middleware import Ring

MOST: Final = 4 << 20
"""Bytes of a span answered here; a longer one has its own task, whose cost it does not feel."""

STASH: Final = 64 << 10
"""Bytes of pipelined requests kept while an answer is on its way; then the client is made to wait."""

_FIELDS: Final = re.compile(
    rb" HTTP/1\.1\r\n"
    rb"(?=(?:(?!host:)[^\r\n]*\r\n)*host:[^\r\n]*\r\n(?!(?:[^\r\n]+\r\n)*host:))"  # exactly one Host
    rb"(?:(?:host|user-agent|accept|accept-encoding|accept-language):[ \t]*[\x21-\x7e]?[\x20-\x7e]*\r\n)+\r\n",
    re.IGNORECASE,
)
_AGENT: Final = re.compile(rb"\r\nuser-agent:[ \t]*([\x20-\x7e]*?)[ \t]*\r\n", re.IGNORECASE)
_RANGE: Final = b"\r\nRange: bytes="
_KNOWN: Final = 1024
"""Different field blocks remembered as harmless."""


class FastPath:
    """What the connections of one listener share."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.hot = ring.hot
        self.policy = ring.settings.policy
        meters = ring.meters
        self.ok = {
            (endpoint, method): meters.requests[endpoint, method, "2xx"]
            for endpoint in ("blob", "manifest")
            for method in ("GET", "HEAD")
        }
        self.sent = meters.sent
        self.seconds = meters.seconds
        self.hits = {kind: meters.cache[kind, "hit"] for kind in ("blob", "manifest", "tag")}
        self._harmless: dict[bytes, str] = {}
        self._second = 0
        self._common = b""

    def agent_of(self, block: bytes) -> str | None:
        """The User-Agent, as JSON, of a block of fields that cannot change an answer; None for any other."""
        agent = self._harmless.get(block)
        if agent is None and _FIELDS.fullmatch(block):
            found = _AGENT.search(block)
            agent = json.dumps(found[1].decode("ascii")[:200] if found else "")
            if len(self._harmless) >= _KNOWN:
                self._harmless.clear()
            self._harmless[block] = agent
        return agent

    def common(self, now: float) -> bytes:
        """The lines between Content-Length and the request's id."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._common = (
                b"Date: %s\r\nDocker-Distribution-Api-Version: registry/2.0\r\nX-Request-Id: "
                % head.date().encode()
            )
        return self._common

    def allowed(self, asked: Any) -> bool:  # Any: Asked, kept short on the hot path
        return self.policy.decide(None, asked).verdict is Verdict.ALLOW


class FastConnection(Connection):
    """See the module."""

    __slots__ = (
        "_busy_with",
        "_end",
        "_fast",
        "_fd",
        "_head",
        "_log",
        "_offset",
        "_path",
        "_peer",
        "_sock",
        "_stash",
        "_timer",
    )

    def __init__(self, acceptor: Acceptor, **kwargs: Any) -> None:  # Any: aiohttp's own keywords
        super().__init__(acceptor, **kwargs)
        self._path: FastPath | None = acceptor.fast
        self._fast = self._path is not None
        self._busy_with: HotBlob | None = None
        self._sock: socket.socket | None = None
        self._stash = b""
        self._timer: asyncio.TimerHandle | None = None
        self._head = b""
        self._fd = -1
        self._offset = self._end = 0
        self._log: tuple[str, str, float, int] = ("", "", 0.0, 0)
        self._peer = '""'

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._peer = json.dumps(str(peer[0]) if isinstance(peer, tuple) else "")

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._busy_with is not None:
            if self._sock is not None:
                self._loop.remove_writer(self._sock.fileno())
            self._over(broken="client")
            self._quiet()
        self._sock = None
        super().connection_lost(exc)

    # -- requests ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._busy_with is not None:
            self._stash += data
            if len(self._stash) > STASH and self.transport is not None:
                self.transport.pause_reading()
            return
        if self._fast:
            if data[-4:] != b"\r\n\r\n" or data.find(b"\r\n\r\n") != len(data) - 4:
                self._fast = (
                    False  # half a head, a body, two requests: from here on the parser holds the state
                )
            elif self._idle() and self._answer(data):
                return
        super().data_received(data)

    def _idle(self) -> bool:
        """Whether aiohttp waits for a request and has nothing of ours in its buffers."""
        waiter = self._waiter
        if waiter is None:
            if self._request_count:
                return False
        elif waiter.done():
            return False
        return not (self._messages or self._force_close or self._close or self.busy)

    def _answer(self, data: bytes) -> bool:
        path = self._path
        assert path is not None
        end = data.find(b" HTTP/1.1\r\n")
        key = data[:end]
        blob = path.hot.blobs.get(key)
        if blob is not None:
            return self._send_blob(path, blob, key, data, end)
        manifest = path.hot.manifests.get(key)
        return manifest is not None and self._send_manifest(path, manifest, key, data[end:])

    # -- manifests --------------------------------------------------------------------------------------------

    def _send_manifest(self, path: FastPath, entry: HotManifest, key: bytes, block: bytes) -> bool:
        agent = path.agent_of(block)
        shape = entry.shape
        transport = self.transport
        if agent is None or transport is None or not path.allowed(shape.asked):
            return False
        now = self._loop.time()
        if now >= entry.until:
            path.hot.forget_manifest(key)
            return False
        if transport.get_write_buffer_size():
            return False
        wall = time.time()
        request_id = path.ring.new_id()
        age = b"" if entry.confirmed is None else b"Age: %d\r\n" % max(0, int(now - entry.confirmed))
        transport.write(
            b"".join(
                (
                    b"HTTP/1.1 200 OK\r\n",
                    shape.fields,
                    age,
                    entry.length,
                    path.common(wall),
                    request_id.encode(),
                    b"\r\n",
                    shape.tail,
                    entry.body,
                )
            )
        )
        self._note(path, shape.method, "manifest", entry.kind, len(entry.body), now)
        path.ring.log_line(
            f'{{"time":{wall:.3f},"id":"{request_id}","client":{self._peer},{shape.log}"status":200,'
            f'"bytes":{len(entry.body)},"seconds":0.0,"agent":{agent},"cache":"hit"}}'
        )
        return True

    def _note(self, path: FastPath, method: str, endpoint: str, kind: str, size: int, began: float) -> None:
        now = self._loop.time()
        path.ok[endpoint, method].add()
        path.sent[endpoint].add(size)
        path.seconds[endpoint].observe(now - began)
        path.hits[kind].add()
        self.last_used = now
        self._keepalive = True
        self._next_keepalive_close_time = now + self._keepalive_timeout

    # -- blobs ------------------------------------------------------------------------------------------------

    def _send_blob(self, path: FastPath, entry: HotBlob, key: bytes, data: bytes, end: int) -> bool:
        """A whole small blob, or one closed or open range of at most `MOST` bytes."""
        block, asked_range = data[end:], b""
        at = block.find(_RANGE)
        if at >= 0:
            stop = block.find(b"\r\n", at + 2)
            asked_range = block[at + len(_RANGE) : stop]
            block = block[:at] + block[stop:]
        agent = path.agent_of(block)
        if agent is None or not path.allowed(entry.shape.asked):
            return False
        span = _span(asked_range, entry.size) if at >= 0 else Span(0, entry.size)
        if span is None or not 0 < len(span) <= MOST or not path.ring.has_room(self):
            return False
        sock = self._socket()
        slice_ = entry.reading.ready(span) if sock is not None else None
        if slice_ is None:
            if sock is not None:
                path.hot.forget_blob(key)
            return False
        if not cold_pages.resident(slice_.fd, span.start, span.stop):
            return False
        self._fd = slice_.fd
        self._begin(path, entry, span, at >= 0, agent, asked_range)
        return True

    def _socket(self) -> socket.socket | None:
        """The plain socket, with nothing waiting before it; None on TLS or while the client does not read."""
        transport = self.transport
        if transport is None or self.wire is None or transport.get_write_buffer_size():
            return None
        self._sock = self.wire.direct()
        return self._sock

    def _begin(
        self, path: FastPath, entry: HotBlob, span: Span, partial: bool, agent: str, asked_range: bytes
    ) -> None:
        shape = entry.shape
        wall = time.time()
        began = self._loop.time()
        request_id = path.ring.new_id()
        if partial:
            first = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n" % (
                span.start,
                span.stop - 1,
                entry.size,
            )
            ranged = f',"range":"bytes={asked_range.decode()}"'
        else:
            first, ranged = b"HTTP/1.1 200 OK\r\n", ""
        self._head = b"%s%sContent-Length: %d\r\n%s%s\r\n%s" % (
            first,
            shape.fields,
            len(span),
            path.common(wall),
            request_id.encode(),
            shape.tail,
        )
        self._log = (
            f'{{"time":{wall:.3f},"id":"{request_id}","client":{self._peer},{shape.log}'
            f'"status":{206 if partial else 200},',
            f'"agent":{agent},"cache":"hit"{ranged}',
            began,
            len(span),
        )
        self._offset, self._end = span.start, span.stop
        entry.used = began
        entry.sending += 1
        self._busy_with = entry
        if not self._step() and self._sock is not None:
            path.ring.running += 1
            self.busy = True
            self._loop.add_writer(self._sock.fileno(), self._pump)
            self._watch(-1)

    def _step(self) -> bool:
        """Send what the socket takes; True at the end, whichever it is."""
        sock = self._sock
        assert sock is not None
        try:
            if self._head:
                sent = sock.send(self._head, socket.MSG_MORE)
                self._head = self._head[sent:]
                if self._head:
                    return False
            self._offset += os.sendfile(sock.fileno(), self._fd, self._offset, self._end - self._offset)
        except BlockingIOError:
            return False
        except OSError:
            self._over(broken="client")
            return True
        if self._offset < self._end:
            return False
        self._over()
        return True

    def _pump(self) -> None:
        sock, entry = self._sock, self._busy_with
        assert entry is not None
        if entry.reading.ready(Span(self._offset, self._end)) is None:
            self._over(broken="store")  # the file has changed under the answer
            ended = True
        else:
            ended = self._step()
        if ended:
            if sock is not None and sock.fileno() >= 0:
                self._loop.remove_writer(sock.fileno())
            self._quiet()
            self._go_on()

    def _watch(self, offset: int) -> None:
        """Cut off a client that takes nothing."""
        assert self._path is not None
        if self._offset == offset:
            self.abort()
            return
        seconds = self._path.ring.settings.send_timeout
        self._timer = self._loop.call_later(seconds, self._watch, self._offset)

    def _quiet(self) -> None:
        """Nothing is on its way any more."""
        assert self._path is not None
        self._path.ring.running -= 1
        self.busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self, *, broken: str = "") -> None:
        """The answer has left, or, by somebody's fault, never will."""
        path, entry = self._path, self._busy_with
        assert path is not None and entry is not None
        self._busy_with = None
        entry.sending -= 1
        start, rest, began, size = self._log
        sent = size - (self._end - self._offset)
        self._note(path, "GET", "blob", "blob", sent, began)
        tail = f',"broken":"{broken}"}}' if broken else "}"
        path.ring.log_line(f'{start}"bytes":{sent},"seconds":{self._loop.time() - began:.6f},{rest}{tail}')
        if broken and self.transport is not None:
            self.abort()

    def _go_on(self) -> None:
        """Requests that came meanwhile."""
        stash, self._stash = self._stash, b""
        if stash and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self.data_received(stash)


def _span(text: bytes, size: int) -> Span | None:
    """`FIRST-LAST` or `FIRST-`, both short and satisfiable; None for the slow path to judge."""
    first, dash, last = text.partition(b"-")
    if not (
        dash and first.isdigit() and len(first) < 19 and (not last or (last.isdigit() and len(last) < 19))
    ):
        return None
    start = int(first)
    stop = min(size, int(last) + 1) if last else size
    return Span(start, stop) if start < stop else None
