"""Reading for one's own sake: what was not in memory before is not there afterwards."""

from __future__ import annotations

import os
from typing import Final

_PAGE: Final = 4096


def alone(fd: int) -> None:
    """No reading ahead through this descriptor."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)


def read_apart(fd: int, start: int, length: int) -> bytes:
    """Like `pread`. Pages that others use stay in memory, those that come only for us go."""
    buffer = bytearray(length)
    try:
        got = os.preadv(fd, [buffer], start, os.RWF_NOWAIT)
    except OSError:  # nothing of it is in memory, or the file system cannot tell
        got = 0
    if got == length:
        return bytes(buffer)
    data = os.pread(fd, length, start)
    cold = (start + got) // _PAGE * _PAGE
    os.posix_fadvise(fd, cold, start + length - cold, os.POSIX_FADV_DONTNEED)
    return data
