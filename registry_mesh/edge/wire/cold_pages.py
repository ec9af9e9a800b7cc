"""Pages of a file that may not be in memory: probed without waiting, fetched in a thread, never in the loop."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from registry_mesh.tasks.threads import in_thread

READ: Final = 256 << 10
"""Bytes read at once where sendfile is not to be had."""

_SHIFT: Final = 16
BLOCK: Final = 1 << _SHIFT
"""Bytes of a file about which one thing is remembered."""
LARGEST: Final = 16 << 30
"""Bytes of a file about which anything is remembered: a quarter of a MiB of memory."""
REMEMBERED: Final = 30.0
DISTRUST: Final = 10.0

_AHEAD: Final = 4 << 20
_BYTE: Final = (bytearray(1),)
"""Where a probed byte goes: nobody reads it."""


def resident(fd: int, start: int, stop: int) -> bool:
    """Whether the first and the last byte can be read without waiting for a disk (0.5 us each when they can).

    Also True at the end of the file: what reads next finds out. False where the file system cannot tell.
    """
    try:
        os.preadv(fd, _BYTE, start, os.RWF_NOWAIT)
        os.preadv(fd, _BYTE, stop - 1, os.RWF_NOWAIT)
    except OSError:
        return False
    return True


@dataclass(slots=True)
class Pressure:
    """Whether memory is short: pages were found to have left it. Shared by the files of one listener."""

    until: float = 0.0
    """The loop's time until which nothing is remembered of any page."""


class Pages:
    """Which pieces of one file were seen to be in memory within the last `REMEMBERED` seconds.

    That a page has left since costs time, never a wrong byte: the loop waits for the disk where a thread should
    have. Where memory is short enough for that, cold pages are seen, and then nothing is remembered for
    `DISTRUST` seconds.
    """

    __slots__ = ("_fd", "_pressure", "_size", "_until", "shift", "warm")

    def __init__(self, size: int, pressure: Pressure) -> None:
        self._size = size
        self._pressure = pressure
        self._fd = -1
        self._until = 0.0
        self.shift = _SHIFT if size <= LARGEST else 62
        """A position shifted so far is its place in `warm`."""
        self.warm = bytearray(max(1, -(-size >> self.shift)))
        """A byte for each piece of the file: not 0 where it was seen in memory."""

    def begin(self, fd: int, now: float) -> None:
        """What follows is about `fd`; what was seen too long ago is forgotten."""
        if fd != self._fd or now >= self._until or now < self._pressure.until:
            self._fd = fd
            self._until = now + REMEMBERED
            self.warm = bytearray(len(self.warm))

    def forget(self) -> None:
        """Give the memory up: nothing is asked of it any more."""
        self.warm = bytearray(1)
        self._fd = -1

    def see(self, start: int, stop: int, now: float) -> bool:
        """Look at bytes [start, stop), and remember the pieces that are in memory."""
        if self.shift != _SHIFT or now < self._pressure.until:
            return self._seen(start, stop, now)
        for block in range(start >> _SHIFT, (stop - 1 >> _SHIFT) + 1):
            if not self.warm[block]:
                if not resident(self._fd, block * BLOCK, min(self._size, (block + 1) * BLOCK)):
                    return self._seen(start, stop, now)  # a neighbour may be cold, and not be wanted
                self.warm[block] = 1
        return True

    def _seen(self, start: int, stop: int, now: float) -> bool:
        if resident(self._fd, start, stop):
            return True
        self._pressure.until = now + DISTRUST
        return False


def _fetch(fd: int, start: int, stop: int) -> None:
    os.posix_fadvise(fd, start, stop - start + _AHEAD, os.POSIX_FADV_WILLNEED)
    buffer = bytearray(READ)
    while start < stop:
        got = os.preadv(fd, [memoryview(buffer)[: stop - start]], start)
        if not got:
            return
        start += got


async def warm(fd: int, start: int, stop: int) -> None:
    """Bring the bytes into memory. OSError where the disk fails. The descriptor stays in use until it returns,
    cancelled or not."""
    await in_thread(_fetch, fd, start, stop)


async def read(fd: int, start: int, stop: int) -> bytes:
    """Up to `READ` bytes from `start`: at once where they are in memory, else by a thread."""
    length = min(READ, stop - start)
    buffer = bytearray(length)
    try:
        got = os.preadv(fd, [buffer], start, os.RWF_NOWAIT)
    except OSError:
        return await in_thread(os.pread, fd, length, start)
    return bytes(buffer) if got == length else bytes(memoryview(buffer)[:got])
