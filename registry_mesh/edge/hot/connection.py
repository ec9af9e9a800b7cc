"""The fast path: hits answered before aiohttp parses anything.

`data_received` looks at the raw bytes. One complete GET or HEAD for something hot, with fields that cannot change
the answer, is answered at once: a manifest by one write from memory, a span of a blob by one send and one sendfile.
Everything else goes to aiohttp untouched, and so do all requests that come while something is being answered the
slow way. What the answer holds is what the slow path would have answered, byte for byte but for the variable
fields (Date, X-Request-Id, Age); a differential test sends every shape of request through both.

What a hit costs and why it is done so: docs/performance.md.
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
from registry_mesh.edge.hot.recognise import END, Known, KnownBlob, KnownManifest, Usual
from registry_mesh.edge.hot.remainder import Line, Remainder
from registry_mesh.edge.hot.shape import Shape
from registry_mesh.edge.hot.tally import Tally
from registry_mesh.edge.wire.connection import Connection
from registry_mesh.oci.span import Span

MOST: Final = 4 << 20
"""Bytes of a span answered here; a longer one has its own task, whose cost it does not feel."""

STASH: Final = 64 << 10
"""Bytes of pipelined requests kept while an answer is on its way; then the client is made to wait."""

TURNS: Final = 8
"""Of the loop, for which a hit waits for aiohttp to be done with the answer before it."""

LAYOUTS: Final = 32
"""Lengths of heads that a connection remembers something of."""

COPIED: Final = 256 << 10
"""Bytes of a span answered here over TLS, where they are read and written."""

_RANGE: Final = b"\r\nRange: bytes="
_VALUE: Final = len(_RANGE)
_LOGIN: Final = b"\r\nAuthorization: "
_CREDENTIALS: Final = len(_LOGIN)
_MORE: Final = socket.MSG_MORE


class FastConnection(Connection):
    """See the module."""

    __slots__ = (
        "_caller",
        "_client",
        "_given",
        "_layouts",
        "_login",
        "_login_at",
        "_out",
        "_path",
        "_peer",
        "_range_at",
        "_remainder",
        "_sock",
        "_stash",
        "_usual_caller",
    )

    def __init__(
        self, path: FastPath, manager: web.Server, **kwargs: Any
    ) -> None:  # Any: aiohttp's own keywords
        super().__init__(manager, **kwargs)
        self._path: FastPath | None = path
        """None from the moment on that the parser may hold the state: half a head, a body, two requests."""
        self._remainder: Remainder | None = None
        self._sock: socket.socket | None = None
        self._out = -1
        self._stash = b""
        self._client = self._peer = ""
        self._caller: Caller | None = None
        """Whose credentials came with the request that is looked at."""
        self._login = ""
        """What the access log says of that."""
        self._usual_caller: Caller | None = None
        """Whose credentials came last: one connection mostly shows the same."""
        self._login_at = self._range_at = -1
        """Where its client has those lines: the login in a head, the range in what is left of it then; -1: nowhere."""
        self._layouts: dict[int, Usual] = {}
        """Where its client has what changes from request to request, in heads of so many bytes."""
        self._given: Given | None = None
        """What of that came with the request that is looked at."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the client's address; a connection too many has no fast path."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        name = json.dumps(self._peer)
        self._client = f'","client":{name},'
        if self.surplus:
            self._path = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave what is being sent, and end as every connection does."""
        if self._remainder is not None:
            self._remainder.leave()
            self._remainder = None
        self._sock = None
        super().connection_lost(exc)

    # -- requests ---------------------------------------------------------------------------------------------

    def let_go(self) -> None:
        """Answer no more by the fast path, whose answers keep connections open."""
        if self._remainder is None and not self._stash:
            self._path = None

    def data_received(self, data: bytes) -> None:
        """Answer a request for what is hot at once, or hand the bytes to the slow path, in their order."""
        path = self._path
        if path is not None:
            if self._remainder is not None or self._stash:
                self._keep(data)
                return
            if self._idle():
                if self.answer(path, data):
                    return
            elif self._is_between() and self._known(path, data)[0] is not None:
                self._stash = data
                self._loop.call_soon(self._look_again, TURNS)
                return
            self._give(data)
            return
        super().data_received(data)

    def _give(self, data: bytes) -> None:
        """To aiohttp."""
        if not _complete(data):
            self._path = None
        super().data_received(data)

    def _is_between(self) -> bool:
        """Whether aiohttp has had its last answer sent and comes back to wait within a few turns. A client that asks at
        once finds it so each time, and would have all its hits answered the slow way."""
        return self._waiter is None and not (
            self.busy or self._messages or self._force_close or self._close or self.transport is None
        )

    def _look_again(self, turns: int) -> None:
        path, stash = self._path, self._stash
        if self.transport is None or self.transport.is_closing():
            return
        if not self._idle() and self._is_between() and turns:
            self._loop.call_soon(self._look_again, turns - 1)
            return
        self._stash = b""
        self.transport.resume_reading()
        if path is None or not (self._idle() and self.answer(path, stash)):
            self._give(stash)

    def _idle(self) -> bool:
        """Whether aiohttp waits for a request and has nothing of ours in its buffers."""
        waiter = self._waiter
        if waiter is None:
            if self._request_count:
                return False
        elif waiter.done():
            return False
        return not (self._messages or self._force_close or self._close or self.busy)

    def answer(self, path: FastPath, data: bytes) -> bool:
        """Whether `data` is one request for what is hot; it is being answered then."""
        known, asked = self._known(path, data)
        if known is None:
            return False
        if isinstance(known, KnownBlob):
            given = self._given
            if given is not None and (condition := given[1]):
                etag = known.entry.shape.etag
                if (etag in condition or "*" in condition) and not_modified(condition, etag):
                    return False
            return self._send_blob(path, known, asked)
        return asked is None and self._send_manifest(path, known)

    def _known(self, path: FastPath, data: bytes) -> tuple[Known | None, bytes | None]:
        """What is asked for, where it is hot and nothing else in the head matters, and the range's text. `_caller`
        and `_given` are set: credentials that were never good for anything are for the slow path to look at."""
        if data[-4:] != END:
            return None, None
        known, asked, line = self._look_up(path, data)
        if line is not None and self._find_lines(data):
            known, asked, line = self._look_up(path, data)
        if line is not None and _complete(data):
            known = self._recognise(path, line)
        return known, asked

    def _find_lines(self, data: bytes) -> bool:
        """Find the two lines that are looked at alone; whether they are elsewhere than in the head before."""
        before = self._login_at, self._range_at
        at = data.find(_LOGIN)
        line = data if at < 0 else data[:at] + data[data.find(b"\r", at + _CREDENTIALS) :]
        self._login_at, self._range_at = at, line.find(_RANGE)
        return (self._login_at, self._range_at) != before

    def _look_up(self, path: FastPath, data: bytes) -> tuple[Known | None, bytes | None, bytes | None]:
        """The same by the bytes of a head that has its login and its range where the head before had them: to search
        for them takes longer than all the rest. What is left of the head comes with it where that is not known: it may
        have them elsewhere, and is not known because of them. None there: it is for the slow path."""
        self._caller, self._login, self._given = None, "", None
        line, asked, at = data, None, self._login_at
        if at >= 0 and data.startswith(_LOGIN, at):
            start = at + _CREDENTIALS
            stop = data.find(b"\r", start)
            caller = self._usual_caller
            if (
                caller is None
                or stop != start + caller.length
                or not data.startswith(caller.credentials, start)
            ):
                self._usual_caller = caller = path.callers.in_head(data, start, stop)
                if caller is None:
                    return None, None, None
            self._caller, self._login = caller, caller.log
            line = data[:at] + data[stop:]
        at = self._range_at
        if line.startswith(_RANGE, at):
            stop = line.find(b"\r", at + _VALUE)
            asked, line = line[at + _VALUE : stop], line[:at] + line[stop:]
        # A known head is complete; so are the bytes it was taken from, as they too end with an empty line.
        usual = self._layouts.get(len(line)) if self._layouts else None
        if usual is None:
            known = path.recogniser.known.get(line)
            return (known, asked, None) if known is not None and not known.entry.gone else (None, asked, line)
        layout = usual.layout
        rest = layout.rest(line)
        known = usual.known if rest == usual.last else usual.find(rest)
        if known is None or known.entry.gone:
            return None, asked, line
        self._given = given = layout.given(line)
        if given is None or (path.recording and layout.recorded(line) and path.records()):
            return None, asked, None
        return known, asked, None

    def _recognise(self, path: FastPath, line: bytes) -> Known | None:
        """What a head asks for that is not known by its bytes."""
        known, self._given, usual = path.recogniser.recognise(line)
        if usual is not None:
            if len(self._layouts) >= LAYOUTS:
                self._layouts.clear()
            self._layouts[len(line)] = usual
            if path.recording and usual.layout.recorded(line) and path.records():
                return None
        return known

    def _direct(self) -> socket.socket | None:
        """The plain socket; None on TLS and after the end."""
        if self.wire is not None and (sock := self.wire.direct()) is not None:
            self._sock, self._out = sock, sock.fileno()
        return self._sock

    def _used(self, path: FastPath, tally: Tally, size: int, now: float) -> None:
        if not tally.answers:
            path.tallies.due(tally)
        tally.answers += 1
        tally.bytes += size
        self.last_used = now
        self._keepalive = True
        self._next_keepalive_close_time = now + self._keepalive_timeout

    def _count(self, path: FastPath, shape: Shape, size: int) -> None:
        """Count what is sent for the caller, and against the client, where that is asked for."""
        if path.client_limits is not None:
            path.client_limits.spend(self.client, size, self.last_used)
        fetched = shape.fetched
        if path.pulled is None or fetched is None:
            return
        caller = self._caller
        who = (caller.name if caller is not None else "") or self._peer
        count = fetched.by_caller.get(who)
        if count is None:
            count = path.pulled.begin(fetched, who)
        count[0] += 1
        count[1] += size

    # -- manifests --------------------------------------------------------------------------------------------

    def _send_manifest(self, path: FastPath, known: KnownManifest) -> bool:
        entry, transport, now = known.entry, self.transport, self._loop.time()
        if transport is None or transport.get_write_buffer_size():
            return False
        if not path.allows(self._caller, entry.shape.right, now):
            return False
        if now >= entry.until:
            return False  # no longer fresh: the slow path asks, and keeps it anew
        if path.client_limits is not None and path.client_limits.wait(self.client, now):
            return False  # too fast: the slow path says so
        if now >= entry.front_until:
            entry.render(now)
        entry.used = True
        given = self._given
        common, stamp = path.names(given)
        if given is not None and given[1] and not_modified(given[1], entry.shape.etag):
            self._write(transport, b"".join((entry.same_front, common, entry.same_back)))
            path.log(f"{stamp}{self._client}{self._login}{known.same_log}")
            self._used(path, known.same, 0, now)
            return True
        self._write(transport, b"".join((entry.front, common, entry.back)))
        path.log(f"{stamp}{self._client}{self._login}{known.log}")
        self._used(path, known.tally, entry.size, now)
        self._count(path, entry.shape, entry.size)
        return True

    def _write(self, transport: asyncio.Transport, data: bytes) -> None:
        """At once where the socket is plain; a transport leaves it for the end of its turn."""
        sock, sent = self._sock or self._direct(), 0
        if sock is not None:
            try:
                sent = sock.send(data)
            except OSError:
                sent = 0  # full, or gone: the transport will see which
        if sent < len(data):
            transport.write(data[sent:])

    # -- blobs ------------------------------------------------------------------------------------------------

    def _send_blob(self, path: FastPath, known: KnownBlob, asked: bytes | None) -> bool:
        """A whole small blob, or one range of at most `MOST` bytes."""
        entry, now = known.entry, self._loop.time()
        bounds = (0, entry.size) if asked is None else _bounds(asked, entry.size)
        if bounds is None:
            return False
        start, stop = bounds
        if not 0 < stop - start <= MOST or not self._may_send(path, entry, start, stop, now):
            return False
        if path.client_limits is not None and path.client_limits.wait(self.client, now):
            return False  # too fast: the slow path says so
        sock = self._sock or self._direct()
        if sock is None:
            return self._copy(path, known, asked, start, stop)
        front, log, ranged = self._render(path, known, asked, start, stop, now)
        left, sent = front, 0
        try:
            left = front[sock.send(front, _MORE) :]
            if not left:
                sent = os.sendfile(self._out, entry.fd, start, stop - start)
        except OSError:
            pass  # full, or gone: the remainder will see which
        if sent == stop - start:
            path.log(f"{log}{sent}{known.log}{ranged}}}\n")
            self._used(path, known.tally, sent, now)
            self._count(path, entry.shape, sent)
            return True
        self._count(path, entry.shape, stop - start)
        line = Line(log, f"{known.remainder_log}{ranged}")
        self.busy = True
        self._remainder = Remainder(path.traffic, self._loop, sock, entry, line, self._go_on, self.abort)
        self._remainder.begin(left, Span(start + sent, stop), sent)
        return True

    def _may_send(self, path: FastPath, entry: HotBlob, start: int, stop: int, now: float) -> bool:
        """Whether the client may have it, it is good, and neither the client nor a disk needs to be waited for."""
        transport = self.transport
        if transport is None or transport.get_write_buffer_size():
            return False
        if not path.allows(self._caller, entry.shape.right, now):
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
        self, path: FastPath, known: KnownBlob, asked: bytes | None, start: int, stop: int, now: float
    ) -> tuple[bytes, str, str]:
        """The head; the log's line up to the bytes sent, and its end from the range on."""
        entry = known.entry
        common, stamp = path.names(self._given)
        if asked is None:
            front, log, ranged = entry.whole, known.whole_log, ""
        else:
            front, log = entry.part % (start, stop - 1, stop - start), known.part_log
            ranged = f',"range":"bytes={asked.decode()}"'
        return (
            b"".join((front, common, entry.back)),
            f"{stamp}{self._client}{self._login}{log}",
            ranged,
        )

    def _copy(self, path: FastPath, known: KnownBlob, asked: bytes | None, start: int, stop: int) -> bool:
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
        front, log, ranged = self._render(path, known, asked, start, stop, now)
        transport.writelines((front, data))
        path.log(f"{log}{len(data)}{known.log}{ranged}}}\n")
        self._used(path, known.tally, len(data), now)
        self._count(path, known.entry.shape, len(data))
        return True

    # -- what comes meanwhile ---------------------------------------------------------------------------------

    def _keep(self, data: bytes) -> None:
        self._stash += data
        if len(self._stash) > STASH and self.transport is not None:
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """The remainder has left: now for requests that came meanwhile."""
        self._remainder = None
        self.busy = False
        now = self._loop.time()
        self.last_used = now
        self._keepalive = True
        self._next_keepalive_close_time = now + self._keepalive_timeout
        stash, self._stash = self._stash, b""
        if stash and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self.data_received(stash)

    def _process_keepalive(self) -> None:
        """A client that is slow to read is not an idle one."""
        if self._remainder is None:
            super()._process_keepalive()
        else:
            self._keepalive_handle = self._loop.call_later(self._keepalive_timeout, self._process_keepalive)


def _complete(data: bytes) -> bool:
    """Whether it is one head, to the end."""
    return data[-4:] == END and data.find(END) == len(data) - 4


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
