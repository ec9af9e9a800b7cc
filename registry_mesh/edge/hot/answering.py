"""Sends hot answers: a manifest by one write from memory, a span of a blob by one send and one sendfile.

What is checked here is what may change from one hit to the next, and each check costs some tens of nanoseconds; what a
hit costs and why it is done so: docs/performance.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Any, Final

from aiohttp import web

from registry_mesh.edge.entity_tags import not_modified
from registry_mesh.edge.hot.blob import HotBlob
from registry_mesh.edge.hot.callers import Caller
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.hot.layouts import Given
from registry_mesh.edge.hot.recognise import KnownBlob, KnownManifest
from registry_mesh.edge.hot.remainder import Line, Remainder
from registry_mesh.edge.hot.tally import Tally
from registry_mesh.edge.pulled import ANSWER
from registry_mesh.edge.wire.connection import Connection
from registry_mesh.oci.span import Span

MOST: Final = 4 << 20
"""Bytes of a span answered here; a longer one has its own task, whose cost it does not feel."""

COPIED: Final = 256 << 10
"""Bytes of a span answered here over TLS, where they are read and written."""

_MORE: Final = socket.MSG_MORE


class Answering(Connection):
    """A connection that can send what is hot. Each of the methods that send tells whether it did: what it did not is
    for the slow path, and nothing was counted or sent."""

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

    # -- manifests --------------------------------------------------------------------------------------------

    def send_manifest(
        self, path: FastPath, known: KnownManifest, caller: Caller | None, given: Given | None
    ) -> bool:
        """A manifest, or that it is the one the client has."""
        entry, now = known.entry, self._loop.time()
        if (caller is not None or now >= known.right.until) and not path.allows(caller, known.right, now):
            return False
        if now >= entry.same_until and not entry.renew(now):
            return False  # no longer fresh: the slow path asks, and keeps it anew
        if not self._is_clear and not self._clear():
            return False
        if path.client_limits is not None and path.client_limits.wait(self.client, now):
            return False  # too fast: the slow path says so
        entry.used = True
        if given is not None:
            common, stamp = path.names(given)
            if given[1] and not_modified(given[1], entry.shape.etag):
                self._say_same(path, known, caller, common, stamp, now)
                return True
            answer = b"".join((entry.front, common, entry.back))
        else:
            number = next(path.ids)
            answer = b"".join((entry.front, path.common, b"%x" % number, entry.back))
            stamp = f"{path.stamp}{number:x}"
        self._write(answer)
        path.log(f"{stamp}{self._client}{caller.log if caller is not None else ''}{known.log}")
        self._used(path, known.tally, entry.size, now)
        if path.pulled is not None:
            self._count(path, known, caller, known.pull)
        return True

    def _say_same(
        self,
        path: FastPath,
        known: KnownManifest,
        caller: Caller | None,
        common: bytes,
        stamp: str,
        now: float,
    ) -> None:
        entry = known.entry
        self._write(b"".join((entry.same_front, common, entry.same_back)))
        path.log(f"{stamp}{self._client}{caller.log if caller is not None else ''}{known.same_log}")
        self._used(path, known.same, 0, now)

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

    # -- blobs ------------------------------------------------------------------------------------------------

    def send_blob(
        self,
        path: FastPath,
        known: KnownBlob,
        caller: Caller | None,
        given: Given | None,
        asked: bytes | None,
    ) -> bool:
        """A whole small blob, or one range of at most `MOST` bytes."""
        entry, now = known.entry, self._loop.time()
        bounds = (0, entry.size) if asked is None else _bounds(asked, entry.size)
        if bounds is None:
            return False
        start, stop = bounds
        if not 0 < stop - start <= MOST or not self._may_send(path, entry, caller, start, stop, now):
            return False
        if path.client_limits is not None and path.client_limits.wait(self.client, now):
            return False  # too fast: the slow path says so
        sock = self._sock or self._direct()
        if sock is None:
            return self._copy(path, known, caller, given, asked, start, stop)
        front, log, ranged = self._render(path, known, caller, given, asked, start, stop)
        left, sent = front, 0
        try:
            left = front[sock.send(front, _MORE) :]
            if not left:
                sent = os.sendfile(self._out, entry.fd, start, stop - start)
        except OSError:
            pass  # full, or gone: the remainder will see which
        if path.pulled is not None:
            self._count(path, known, caller, ANSWER + stop - start)
        if sent == stop - start:
            path.log(f"{log}{sent}{known.log}{ranged}}}\n")
            self._used(path, known.tally, sent, now)
            return True
        line = Line(log, f"{known.remainder_log}{ranged}")
        self.busy = True
        self._remainder = Remainder(path.traffic, self._loop, sock, entry, line, self._go_on, self.abort)
        self._remainder.begin(left, Span(start + sent, stop), sent)
        return True

    def _may_send(
        self, path: FastPath, entry: HotBlob, caller: Caller | None, start: int, stop: int, now: float
    ) -> bool:
        """Whether the client may have it, it is good, and neither the client nor a disk needs to be waited for."""
        right = entry.shape.right
        if (caller is not None or now >= right.until) and not path.allows(caller, right, now):
            return False
        if not self._is_clear and not self._clear():
            return False
        if now >= entry.until and not entry.ready(Span(start, stop), now):
            if not entry.reading.grows:
                path.hot.forget_blob(entry.key)
            return False
        entry.used = now
        pages = entry.pages
        first, last = start >> pages.shift, stop - 1 >> pages.shift
        return pages.warm.find(0, first, last + 1) < 0 or pages.see(start, stop, now)

    def _render(
        self,
        path: FastPath,
        known: KnownBlob,
        caller: Caller | None,
        given: Given | None,
        asked: bytes | None,
        start: int,
        stop: int,
    ) -> tuple[bytes, str, str]:
        """The head; the log's line up to the bytes sent, and its end from the range on."""
        entry = known.entry
        common, stamp = path.names(given)
        if asked is None:
            front, log, ranged = entry.whole, known.whole_log, ""
        else:
            front, log = entry.part % (start, stop - 1, stop - start), known.part_log
            ranged = f',"range":"bytes={asked.decode()}"'
        return (
            b"".join((front, common, entry.back)),
            f"{stamp}{self._client}{caller.log if caller is not None else ''}{log}",
            ranged,
        )

    def _copy(
        self,
        path: FastPath,
        known: KnownBlob,
        caller: Caller | None,
        given: Given | None,
        asked: bytes | None,
        start: int,
        stop: int,
    ) -> bool:
        """The same over TLS, where a file's bytes have to be read."""
        transport, now = self.transport, self._loop.time()
        if stop - start > COPIED or transport is None:
            return False
        try:
            data = os.pread(known.entry.fd, stop - start, start)
        except OSError:
            return False
        if len(data) != stop - start:
            return False
        front, log, ranged = self._render(path, known, caller, given, asked, start, stop)
        self._is_clear = False
        transport.writelines((front, data))
        path.log(f"{log}{len(data)}{known.log}{ranged}}}\n")
        self._used(path, known.tally, len(data), now)
        if path.pulled is not None:
            self._count(path, known, caller, ANSWER + len(data))
        return True

    # -- counts -----------------------------------------------------------------------------------------------

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
        self, path: FastPath, known: KnownManifest | KnownBlob, caller: Caller | None, amount: int
    ) -> None:
        """Count what is sent for the caller."""
        counts = known.counts
        if counts is None:
            return
        who = self._peer if caller is None else caller.name or self._peer
        try:
            counts[who] += amount
        except KeyError:
            if path.pulled is not None and known.entry.shape.fetched is not None:
                path.pulled.begin(known.entry.shape.fetched, who, amount)

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


def _bounds(text: bytes, size: int) -> tuple[int, int] | None:
    """Start and stop of `FIRST-LAST`, `FIRST-` or `-LENGTH`, all short; None for the slow path to judge."""
    first, dash, last = text.partition(b"-")
    if not dash or len(text) > 36 or (last and not last.isdigit()):
        return None
    if not first:
        return (max(0, size - int(last)), size) if last else None
    if not first.isdigit():
        return None
    return int(first), min(size, int(last) + 1) if last else size
