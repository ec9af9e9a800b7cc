"""What is hot: answers whose every byte is known and in place, by the very bytes of the request line.

An answer of the slow path is kept when it was a hit; the fast path (`edge.hot.connection`) takes it from here. An entry
is never a permission (the policy is asked) and never a fact of its own: a blob's bytes are sent only while its reading
says that they are ready, a tag's only while it is fresh. Policy and reading are asked at most once in `MOMENT`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Final

from registry_mesh.edge.hot.callers import NEVER, Callers, Right
from registry_mesh.edge.pulled import Fetched
from registry_mesh.edge.wire import cold_pages
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource, Reading
from registry_mesh.ports.failures import Failure

_log: Final = logging.getLogger(__name__)

MOST: Final = 8_192
"""Blobs kept open, at most: 6 KiB of memory each."""

GROWING: Final = 8
"""One in so many of them may be on its way in: such a one has two open files, and memory for each of its chunks."""

OPEN: Final = 60.0
"""Seconds without use after which a blob's file is closed."""

CROWDED: Final = 10.0
"""The same, where there is little room for others. Who asks for more blobs in turn than there is room for finds some of
them so, and not none."""

MEMORY: Final = 64 << 20
"""Bytes of manifests kept, with 1 KiB for each entry."""

MOMENT: Final = 0.001
"""Seconds for which a right that was granted and a file that was looked at count as still the same. A loop that
keeps its clock still for a turn (uvloop does) asks once a turn and millisecond, however many hits that has."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The parts of an answer that are the same each time. `fields`: the head's lines up to Age or Content-Length;
    `tail`: those after X-Request-Id, with the empty line; `log`: the access log's line between client and status.
    `etag`: the entity tag, in quotes. `fetched`: how often it was given; None for HEAD."""

    right: Right
    method: str
    etag: str
    fields: bytes
    tail: bytes
    log: str
    fetched: Fetched | None = None


class HotManifest:
    """`front` are the answer's bytes before Date, as they are until `front_until`; `back` those after
    X-Request-Id."""

    __slots__ = (
        "_confirmed",
        "_length",
        "back",
        "front",
        "front_until",
        "gone",
        "kind",
        "same_back",
        "same_front",
        "shape",
        "size",
        "until",
        "used",
    )

    def __init__(
        self, shape: Shape, kind: str, size: int, body: bytes, confirmed: float | None, until: float
    ) -> None:
        """`size` is what Content-Length says; `body` is empty for HEAD. `confirmed`: when the source last did so,
        in the loop's time; None where it cannot be stale."""
        self.shape = shape
        self.kind = kind
        """For the cache counter: tag or manifest."""
        self.size = len(body)
        """Bytes of body that are sent."""
        self._length = b"Content-Length: %d\r\n" % size
        self.same_back = b"\r\n" + shape.tail
        self.back = self.same_back + body
        self._confirmed = confirmed
        self.until = until
        """The loop's time from which it is no longer fresh."""
        self.gone = False
        """Forgotten, or another has its place."""
        self.used = False
        """Whether it was asked for since it was last considered for leaving."""
        self.front = b""
        self.same_front = b""
        """`front` and `back` of 304."""
        self.front_until = NEVER

    def render(self, now: float) -> None:
        """Make `front` anew: Age has changed."""
        age = b""
        self.front_until = math.inf
        if self._confirmed is not None:
            seconds = max(0, int(now - self._confirmed))
            self.front_until = self._confirmed + seconds + 1
            age = b"Age: %d\r\n" % seconds
        self.front = b"".join((b"HTTP/1.1 200 OK\r\n", self.shape.fields, age, self._length))
        self.same_front = b"".join((b"HTTP/1.1 304 Not Modified\r\n", self.shape.fields, age))


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
        "pages",
        "part",
        "reading",
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


class Hot:
    """One per listener. A blob can be evicted again `idle` seconds after its last use; its file stays open for longer.
    At most `most` files are: an unused one for `open_for` seconds, or `crowded_for` where places are short."""

    def __init__(
        self, idle: float, most: int = MOST, open_for: float = OPEN, crowded_for: float = CROWDED
    ) -> None:
        self.idle = idle
        self.most = most
        self.open_for = open_for
        self.crowded_for = crowded_for
        self._pressure = cold_pages.Pressure()
        self.blobs: dict[bytes, HotBlob] = {}
        self.manifests: OrderedDict[bytes, HotManifest] = OrderedDict()
        self._bytes = 0
        self._growing = 0
        self._once: OrderedDict[bytes, None] = OrderedDict()
        self._opening: dict[bytes, asyncio.Task[None]] = {}
        self._leaving: list[HotBlob] = []  # let go while an answer was on its way
        self._sweeper: asyncio.Task[None] | None = None
        self.callers = Callers()

    def __repr__(self) -> str:
        return f"<Hot {len(self.blobs)} blobs, {len(self.manifests)} manifests of {self._bytes} bytes>"

    def start(self) -> None:
        """Begin to let go of what nobody asks for."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="hot")

    async def close(self) -> None:
        """Close every file, and begin nothing more."""
        tasks = [*self._opening.values(), *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for entry in [*self.blobs.values(), *self._leaving]:
            await entry.close()
        self.blobs.clear()
        self._leaving.clear()

    # -- manifests and tags -----------------------------------------------------------------------------------

    def keep_manifest(self, key: bytes, entry: HotManifest) -> None:
        """Keep an answer in place of an earlier one; the oldest go where all take more than `MEMORY` bytes."""
        self.forget_manifest(key)
        self.manifests[key] = entry
        self._bytes += _cost(key, entry)
        while self._bytes > MEMORY:
            self._forget_one()

    def _forget_one(self) -> None:
        """Forget the manifest that was kept first of those not asked for since they were last considered."""
        for _ in range(len(self.manifests)):
            key, entry = next(iter(self.manifests.items()))
            if not entry.used:
                break
            entry.used = False
            self.manifests.move_to_end(key)
        self.forget_manifest(next(iter(self.manifests)))

    def forget_manifest(self, key: bytes) -> None:
        """Drop the answer, and its bytes with it, even where the entry is still remembered."""
        entry = self.manifests.pop(key, None)
        if entry is not None:
            entry.gone = True
            entry.front = entry.back = b""  # heads that ask for it are remembered for longer
            self._bytes -= _cost(key, entry)

    def forget_manifests(self) -> None:
        """Forget them all: tags may point elsewhere."""
        for key in list(self.manifests):
            self.forget_manifest(key)

    # -- blobs ------------------------------------------------------------------------------------------------

    def wants_blob(self, key: bytes) -> bool:
        """Whether it is to be kept open: from the second time on that it is asked for."""
        if key in self.blobs or key in self._opening or len(self.blobs) + len(self._opening) >= self.most:
            return False
        if key in self._once:
            del self._once[key]
            return True
        self._once[key] = None
        if len(self._once) > 4 * self.most:
            self._once.popitem(last=False)
        return False

    def keep_blob(self, key: bytes, blobs: BlobSource, digest: Digest, span: Span, shape: Shape) -> None:
        """Keep open what is wanted. `span` of it is there."""
        task = asyncio.get_running_loop().create_task(self._open(key, blobs.open(digest, span), shape))
        self._opening[key] = task
        task.add_done_callback(lambda _: self._opening.pop(key, None))

    async def _open(self, key: bytes, opening: AbstractAsyncContextManager[Reading], shape: Shape) -> None:
        stack = AsyncExitStack()
        try:
            reading = await stack.enter_async_context(opening)
        except (Failure, Refusal):
            return
        entry = HotBlob(key, shape, reading, stack, self._pressure, asyncio.get_running_loop().time())
        if entry.growing and self._growing >= self.most // GROWING:
            await stack.aclose()
            return
        self._growing += entry.growing
        self.blobs[key] = entry

    def forget_blob(self, key: bytes) -> None:
        """It is not what it was: the slow path finds out."""
        if key in self.blobs:
            self._opening[key] = task = asyncio.get_running_loop().create_task(self._let_go(key))
            task.add_done_callback(lambda _: self._opening.pop(key, None))

    async def _let_go(self, key: bytes) -> None:
        entry = self.blobs.pop(key, None)
        if entry is None:
            return
        entry.gone = True
        self._growing -= entry.growing
        if entry.sending:
            self._leaving.append(entry)
        else:
            await entry.close()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(0.5, self.idle / 2))
            now = loop.time()
            unused = [e for e in self.blobs.values() if e.used < now - self.idle and not e.sending]
            for entry in unused:
                entry.reading.rest()
            for entry in [e for e in unused if e.growing] + [e for e in self.blobs.values() if e.has_grown]:
                await self._let_go(entry.key)
            crowded = len(self.blobs) > self.most * 7 // 8
            before = now - (self.crowded_for if crowded else self.open_for)
            for entry in [e for e in unused if e.used < before]:
                await self._let_go(entry.key)
            done = [e for e in self._leaving if not e.sending]
            self._leaving = [e for e in self._leaving if e.sending]
            for entry in done:
                await entry.close()


def _cost(key: bytes, entry: HotManifest) -> int:
    return entry.size + len(key) + 1024
