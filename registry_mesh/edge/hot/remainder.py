"""The remainder of an answer whose socket is full: sent from the writer's callback, watched, counted and logged."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from registry_mesh.edge.hot.blob import HotBlob
from registry_mesh.edge.patience import Watch
from registry_mesh.edge.traffic import Traffic
from registry_mesh.edge.wire.unread import unread
from registry_mesh.oci.span import Span


@dataclass(frozen=True, slots=True)
class Line:
    """Of the access log: what comes before the bytes sent, and what after the seconds."""

    before: str
    after: str


class Remainder:
    """Bytes of a hot blob, after what is left of the head.

    `over` is called once, when the answer has left; `abort` where it never will: the connection is lost then, and
    whose it is calls `leave`. `drop`, before that, has the kernel keep nothing for its client. Until one of `over` and
    `leave` an answer counts as a running one, and its blob as one that is being sent.
    """

    __slots__ = (
        "_abort",
        "_began",
        "_broken",
        "_drop",
        "_entry",
        "_head",
        "_lags",
        "_line",
        "_loop",
        "_offset",
        "_over",
        "_sent",
        "_sock",
        "_stop",
        "_traffic",
        "_watch",
    )

    def __init__(
        self,
        traffic: Traffic,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        entry: HotBlob,
        line: Line,
        over: Callable[[], None],
        abort: Callable[[], None],
        drop: Callable[[], None],
    ) -> None:
        self._traffic = traffic
        self._loop = loop
        self._sock = sock
        self._entry = entry
        self._offset = self._stop = 0
        self._sent = 0
        self._head = b""
        self._line = line
        self._over = over
        self._abort = abort
        self._drop = drop
        self._began = loop.time()
        self._lags = False
        self._watch = Watch(
            loop,
            traffic.laggards,
            traffic.settings.send_timeout,
            lambda: self._offset - unread(self._sock),
            self._lag,
            self._cut_slow,
        )
        self._broken = "client"

    def begin(self, head: bytes, left: Span, sent: int) -> None:
        """Send `head`, then `left`; `sent` bytes of the body have left already."""
        self._head = head
        self._offset, self._stop = left.start, left.stop
        self._sent = sent - left.start
        self._traffic.begin()
        self._entry.sending += 1
        self._loop.add_writer(self._sock.fileno(), self._pump)
        self._watch.begin()

    def leave(self) -> None:
        """The connection is gone."""
        self._end(self._broken)

    def _pump(self) -> None:
        entry = self._entry
        now = self._loop.time()
        self._wake()
        changed = now >= entry.until and not (
            entry.still(self._left) if entry.growing else entry.ready(self._left, now)
        )
        try:
            if changed or not self._step():
                self._give_up("store")  # the file has changed under the answer
                return
        except BlockingIOError:
            return
        except OSError:
            self._give_up("client")
            return
        if self._offset >= self._stop:
            self._end("")
            self._over()

    @property
    def _left(self) -> Span:
        return Span(self._offset, self._stop)

    def _step(self) -> bool:
        """False at the end of the file, where there should be more."""
        if self._head:
            sent = self._sock.send(self._head, socket.MSG_MORE)
            self._head = self._head[sent:]
            if self._head:
                return True
        sent = os.sendfile(self._sock.fileno(), self._entry.fd, self._offset, self._stop - self._offset)
        self._offset += sent
        return sent > 0

    def _give_up(self, broken: str) -> None:
        self._broken = broken
        self._loop.remove_writer(self._sock.fileno())
        self._abort()

    def _lag(self) -> None:
        """Keep the blob no longer from eviction, until the client reads on."""
        if not self._lags:
            self._lags = True
            self._entry.lagging += 1

    def _wake(self) -> None:
        if self._lags:
            self._lags = False
            self._entry.lagging -= 1

    def _cut_slow(self) -> None:
        """Cut off a client that reads next to nothing."""
        self._drop()
        self._give_up("slow client")

    def _end(self, broken: str) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_writer(self._sock.fileno())
        self._watch.end()
        self._wake()
        self._traffic.end()
        self._entry.sending -= 1
        now = self._loop.time()
        self._entry.used = now
        self._note(self._sent + self._offset, now - self._began, broken)

    def _note(self, sent: int, seconds: float, broken: str) -> None:
        registry = self._entry.shape.right.asked.registry
        self._traffic.meters.hit(registry, "blob", "GET", "blob", 1, sent, seconds)
        why = f',"broken":"{broken}"' if broken else ""
        line = self._line
        self._traffic.access_log.add(f'{line.before}{sent},"seconds":{seconds:.6f}{line.after}{why}}}\n')
