"""Holes: giving a part of a file's bytes back to the file system."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import Any, Final

_KEEP_SIZE_AND_PUNCH: Final = 0x01 | 0x02  # fallocate(2)


@cache
def _fallocate() -> Any:  # a ctypes function pointer has no better type
    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return call


def punch(fd: int, start: int, length: int) -> bool:
    """Make bytes of the open file a hole; False where the file system cannot."""
    if _fallocate()(fd, _KEEP_SIZE_AND_PUNCH, start, length) == 0:
        return True
    fault = ctypes.get_errno()
    if fault in (errno.EOPNOTSUPP, errno.ENOSYS):
        return False
    raise OSError(fault, os.strerror(fault))
