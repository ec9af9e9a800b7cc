"""Which bytes of a file are in memory, and having them leave it.

Why it matters: sendfile(2) puts pages of the page cache into a socket's queue, not copies of them. A hole that is
punched into a *part* of a large folio zeroes that part in place, and what had been sent and not yet received arrives
as zeros. (Linux 6.18, ext4, measured: after one write of 1 MiB, eight sendfiles and a punch of every second 128 KiB,
the reader of the socket gets 512 KiB of zeros.) A page that anybody still refers to, a socket's queue above all,
does not leave the memory when asked to; so what has left can be punched.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import cache
from typing import Any, Final

_FOLIO: Final = 2 << 20
"""The largest folio of the page cache (a huge page of x86-64): only those wholly inside a range leave."""

_PAGE: Final = mmap.PAGESIZE


@cache
def _mincore() -> Any:  # a ctypes function pointer has no better type
    call = ctypes.CDLL(None, use_errno=True).mincore
    call.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    return call


def resident(fd: int, start: int, length: int) -> bytes:
    """For each page of a range, whose `start` is a multiple of `mmap.ALLOCATIONGRANULARITY`: odd where it is in
    memory. `fd` is open for reading and writing, else the kernel does not tell (mincore(2)). OSError."""
    pages = (ctypes.c_ubyte * -(-length // _PAGE))()
    with mmap.mmap(fd, length, offset=start) as mapped:
        anchor = ctypes.c_char.from_buffer(mapped)
        try:
            failed = _mincore()(ctypes.addressof(anchor), length, pages)
        finally:
            del anchor
    if failed:
        fault = ctypes.get_errno()
        raise OSError(fault, os.strerror(fault))
    return bytes(pages)


def leave(fd: int, start: int, stop: int, size: int) -> bytes:
    """Have bytes [start, stop) of a file of `size` bytes leave the memory; gives `resident` of what has not. Written
    pages reach the disk first, only if they have to. OSError."""
    around = start // _FOLIO * _FOLIO
    length = min(size, -(-stop // _FOLIO) * _FOLIO) - around
    os.posix_fadvise(fd, around, length, os.POSIX_FADV_DONTNEED)
    left = resident(fd, start, stop - start)
    if any(page & 1 for page in left):
        os.fdatasync(fd)
        os.posix_fadvise(fd, around, length, os.POSIX_FADV_DONTNEED)
        left = resident(fd, start, stop - start)
    return left
