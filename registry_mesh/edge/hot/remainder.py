"""The remainder of an answer whose socket is full: sent from the writer's callback, watched, counted and logged."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from registry_mesh.edge.hot.blob import HotBlob
from registry_mesh.edge.traffic import Traffic
from registry_mesh.oci.span import Span


@dataclass(frozen=True, slots=True)
class Line:
    """Of the access log: what comes before the bytes sent, and what after the seconds."""

    before: str
    after: str


class Remainder:
    """Bytes of a hot blob, after what is left of the head.

    `over` is called once, when the answer has left; `abort` where it never will: the connection is lost then, and
    whose it is calls `leave`. Until one of both an answer counts as a running one, and its blob as one that is being
    sent.
    """

    __slots__ = (
        "_abort",
        "_began",
        "_broken",
        "_entry",
        "_head",
        "_line",
        "_loop",
        "_offset",
        "_over",
        "_sent",
        "_sock",
        "_stop",
        "_timer",
        "_traffic",
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
        self._began = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._broken = "client"

    def begin(self, head: bytes, left: Span, sent: int) -> None:
        """Send `head`, then `left`; `sent` bytes of the body have left already."""
        self._head = head
        self._offset, self._stop = left.start, left.stop
        self._sent = sent - left.start
        self._traffic.begin()
        self._entry.sending += 1
        self._loop.add_writer(self._sock.fileno(), self._pump)
        self._watch(-1)

    def leave(self) -> None:
        """The connection is gone."""
        self._end(self._broken)

    def _pump(self) -> None:
        entry = self._entry
        now = self._loop.time()
        changed = now >= entry.until and not entry.growing and not entry.ready(self._left, now)
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

    def _watch(self, offset: int) -> None:
        """Cut off a client that takes nothing."""
        if self._offset == offset:
            self._abort()
            return
        seconds = self._traffic.settings.send_timeout
        self._timer = self._loop.call_later(seconds, self._watch, self._offset)

    def _end(self, broken: str) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_writer(self._sock.fileno())
        if self._timer is not None:
            self._timer.cancel()
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
