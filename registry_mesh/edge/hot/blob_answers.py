"""Answers with a span of a hot blob: one send and one sendfile."""

from __future__ import annotations

import os
import socket
from typing import Final

from registry_mesh.edge.hot.answering import Answering, is_same
from registry_mesh.edge.hot.blob import HotBlob
from registry_mesh.edge.hot.callers import Caller
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.hot.layouts import Given
from registry_mesh.edge.hot.recognise import KnownBlob
from registry_mesh.edge.hot.remainder import Line, Remainder
from registry_mesh.edge.pulled import ANSWER
from registry_mesh.oci.span import Span

MOST: Final = 4 << 20
"""Bytes of a span answered here; a longer one has its own task, whose cost it does not feel."""

COPIED: Final = 256 << 10
"""Bytes of a span answered here over TLS, where they are read and written."""

_MORE: Final = socket.MSG_MORE


class BlobAnswers(Answering):
    """See the module."""

    __slots__ = ()

    def send_blob(
        self,
        path: FastPath,
        known: KnownBlob,
        caller: Caller | None,
        given: Given,
        asked: bytes | None,
    ) -> bool:
        """Answer with a whole small blob, or one range of at most `MOST` bytes. False where that is for the slow path
        to do: nothing was sent or counted then."""
        if (condition := given[1]) and is_same(condition, known.entry.shape.etag):
            return False
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
        if path.pulled is not None and (counts := known.counts if asked is None else known.parts) is not None:
            who = self._peer if caller is None else caller.name or self._peer
            amount = 1 if asked is None else ANSWER + (stop - start)  # of both sums one is short
            try:
                counts[who] += amount
            except KeyError:
                self._count(path, known, counts, who, amount)
        if sent == stop - start:
            path.log(f"{log}{sent}{known.log}{ranged}}}\n")
            self._used(path, known.tally, sent, now)
            return True
        self._begin_rest(
            path, entry, sock, Line(log, f"{known.remainder_log}{ranged}"), left, start, stop, sent
        )
        return True

    def _begin_rest(
        self,
        path: FastPath,
        entry: HotBlob,
        sock: socket.socket,
        line: Line,
        left: bytes,
        start: int,
        stop: int,
        sent: int,
    ) -> None:
        """Send what the socket did not take at once: `left` of the head, and the span from `sent` bytes on."""
        self.busy = True
        over, abort, drop = self._go_on, self.abort, self.forget_unsent
        self._remainder = Remainder(path.traffic, self._loop, sock, entry, line, over, abort, drop)
        self._remainder.begin(left, Span(start + sent, stop), sent)

    def _may_send(
        self, path: FastPath, entry: HotBlob, caller: Caller | None, start: int, stop: int, now: float
    ) -> bool:
        """Whether the client may have it, it is good, and neither the client nor a disk needs to be waited for."""
        right = entry.shape.right
        if not (
            now < right.until
            if caller is None
            else right is caller.right
            and now < path.until
            and now < caller.until
            and caller.generation == path.generation
        ) and not path.allows(caller, right, now):
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
        given: Given,
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
        given: Given,
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
        if path.pulled is not None and (counts := known.counts if asked is None else known.parts) is not None:
            who = self._peer if caller is None else caller.name or self._peer
            self._count(path, known, counts, who, 1 if asked is None else ANSWER + len(data))
        return True


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
