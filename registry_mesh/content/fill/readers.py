"""The readers of a fill: where each stands, and how they learn that something moved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.span import Span


@dataclass(slots=True, eq=False)
class Reader:
    """Where one reader began and stands, how far it wants to go, and through which registry it came. `epoch`: failures
    that are older do not concern it."""

    via: Via
    start: int
    position: int
    stop: int
    epoch: int
    waiting: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Have it look again, where it waits."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)


SMALL: Final = MIB
"""Bytes of a span whose reader waits for nothing but all of it."""

TOGETHER: Final = 4 * MIB
"""Bytes that readers of long spans are woken for."""

CROWD: Final = 8
LONGEST: Final = 25
"""From so many readers on the pause grows with their number, to so many times its length."""


class Readers:
    """All readers of one fill.

    A reader that has had no byte yet, or reads a small span, is woken whenever bytes came. The others are woken
    once for `TOGETHER` bytes, or after a pause of `pause` seconds that grows with the crowd: to wake a reader and
    have it send costs some 150 us, however much there is to send, and a hundred of them must not be kept busy with
    crumbs.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._loop = asyncio.get_running_loop()
        self._readers: set[Reader] = set()
        self._eager: set[Reader] = set()
        self._pending: asyncio.TimerHandle | None = None
        self._unwoken = 0
        self._news: asyncio.Future[None] | None = None
        self.moved = asyncio.Event()
        """Set when a reader moves, leaves, or is told to look again."""
        self.followed = False
        """Whether there was ever one: the one that begins a fill is about to follow it."""

    def __len__(self) -> int:
        return len(self._readers)

    def __iter__(self) -> Iterator[Reader]:
        return iter(self._readers)

    def whole(self, size: int) -> bool:
        """Whether a reader reads all of a blob of `size` bytes."""
        return any(reader.start == 0 and reader.stop == size for reader in self._readers)

    def enter(self, via: Via, span: Span, epoch: int) -> Reader:
        """A reader that follows from now on, as one that is waited for."""
        reader = Reader(via, span.start, span.start, span.stop, epoch)
        self.followed = True
        self._readers.add(reader)
        self._eager.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Forget the reader; transfers may have to look where they stand."""
        self._readers.discard(reader)
        self._eager.discard(reader)
        self.moved.set()

    def advance(self, reader: Reader, position: int) -> None:
        """The reader has been given all before `position`."""
        reader.position = position
        if reader.stop - position > SMALL:
            self._eager.discard(reader)
        self.moved.set()

    def expect(self, reader: Reader) -> asyncio.Future[None]:
        """Done when the reader should look again."""
        reader.waiting = self._loop.create_future()
        return reader.waiting

    def wake(self, size: int) -> None:
        """`size` bytes came: tell the readers, at once or together with the next few."""
        self._unwoken += size
        if self._unwoken >= TOGETHER:
            self.wake_now()
            return
        _wake(self._eager)
        if self._pending is None:
            times = min(max(1.0, len(self._readers) / CROWD), LONGEST)
            self._pending = self._loop.call_later(self._pause * times, self.wake_now)

    async def news(self) -> None:
        """Return when something has changed for all."""
        if self._news is None or self._news.done():
            self._news = self._loop.create_future()
        await asyncio.shield(self._news)

    def wake_now(self) -> None:
        """Every reader looks again, and so does a transfer that waits for one."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        self._unwoken = 0
        self.close()
        _wake(self._readers)
        self.moved.set()

    def close(self) -> None:
        """Forget what is pending."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def room(self, received: int, end: int, window: int) -> int:
        """Of a transfer that has come to `received` and goes to `end`. 1: a reader wants what comes next. 0: all who
        want some of it are a window behind. -1: nobody does. A reader of a part of a chunk waits for all of it."""
        wanted = -1
        for reader in self._readers:
            if -(-reader.stop // CHUNK) * CHUNK > received and reader.position < end:
                if reader.position + window > received:
                    return 1
                wanted = 0
        return wanted


def _wake(readers: Iterable[Reader]) -> None:
    for reader in readers:
        reader.wake()
