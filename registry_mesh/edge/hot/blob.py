"""A hot blob: kept open, with the parts of its answers in place."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import Final

from registry_mesh.edge.hot.callers import NEVER
from registry_mesh.edge.hot.shape import Shape
from registry_mesh.edge.wire import cold_pages
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Reading
from registry_mesh.ports.failures import Failure

_log: Final = logging.getLogger(__name__)

MOMENT: Final = 0.001
"""Seconds for which a right that was granted and a file that was looked at count as still the same. A loop that
keeps its clock still for a turn (uvloop does) asks once a turn and millisecond, however many hits that has."""


class HotBlob:
    """A blob, complete or on its way in, kept open. Of an answer, `part` are the bytes before Date, with places for
    first, last and length; `whole` the same for the whole blob, `back` those after X-Request-Id."""

    __slots__ = (
        "_ask_whole",
        "back",
        "fd",
        "gone",
        "growing",
        "key",
        "lagging",
        "pages",
        "part",
        "reading",
        "rests",
        "sending",
        "shape",
        "size",
        "stack",
        "until",
        "used",
        "whole",
    )

    def __init__(
        self,
        key: bytes,
        shape: Shape,
        reading: Reading,
        stack: AsyncExitStack,
        pressure: cold_pages.Pressure,
        now: float,
    ) -> None:
        self.key = key
        self.shape = shape
        self.reading = reading
        self.growing = reading.grows
        """It was not complete when it was opened."""
        self.stack = stack
        self.size = size = reading.info.size
        fields = shape.fields.replace(b"%", b"%%")
        self.part = (
            b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %%d-%%d/%d\r\n" % size
            + fields
            + b"Content-Length: %d\r\n"
        )
        self.whole = b"HTTP/1.1 200 OK\r\n" + shape.fields + b"Content-Length: %d\r\n" % size
        self.back = b"\r\n" + shape.tail
        self.used = now
        self.sending = 0
        """Answers on their way from its file."""
        self.lagging = 0
        """Of those the ones whose clients take next to nothing."""
        self.rests = False
        """Its reading was told that nobody reads, once at least."""
        self.gone = False
        """Let go: its reading is, or will be, closed."""
        self.fd = -1
        self.until = NEVER
        """The loop's time until which every byte of `fd` is known to be good."""
        self._ask_whole = now
        self.pages = cold_pages.Pages(size, pressure)

    async def close(self) -> None:
        """Let its file go, whatever the store says to that: the others' are to go after it."""
        self.pages.forget()  # heads that ask for it are remembered for longer
        try:
            await self.stack.aclose()
        except Failure as fault:
            _log.warning("%s was closed, but not well: %s", self.reading.info.digest, fault)

    @property
    def has_grown(self) -> bool:
        """It has changed so much since that it is to be opened anew."""
        return self.growing and not self.reading.grows

    def rest(self) -> None:
        """Let the store take the blob away until it is asked for again, or a client that lags reads on."""
        self.rests = self.reading.rest() or self.rests

    def still(self, span: Span) -> bool:
        """Whether a span of a blob that is on its way in, which was ready when its answer began, is still there."""
        return not self.rests or self.reading.still(span)

    def ready(self, span: Span, now: float) -> bool:
        """Whether the span is good, by a look at the file; and the whole blob for a moment, where it is proven."""
        if now >= self._ask_whole:
            whole = self.reading.ready(Span(0, self.size))
            if whole is not None:
                self.fd = whole.fd
                self.until = now + MOMENT
                self.pages.begin(whole.fd, now)
                return True
            self._ask_whole = now + 1.0
        part = self.reading.ready(span)
        if part is not None:
            self.fd = part.fd
            self.pages.begin(part.fd, now)
        return part is not None
