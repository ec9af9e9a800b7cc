"""Pages of a file that may not be in memory: probed without waiting, fetched in a thread, never in the loop."""

from __future__ import annotations

import os
from typing import Final

from registry_mesh.edge.threads import in_thread

READ: Final = 256 << 10
"""Bytes read at once where sendfile is not to be had."""

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
