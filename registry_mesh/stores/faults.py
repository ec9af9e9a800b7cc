"""From the operating system's errors to failures."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from registry_mesh.ports.failures import Failure, StoreBroken, StoreFull, StoreUnfit

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of the operating system that say there is no room."""
_UNFIT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM})


def failure(fault: OSError | sqlite3.Error | ValueError, doing: str) -> Failure:
    """`StoreFull` where there was no room, `StoreBroken` for everything else."""
    if isinstance(fault, OSError) and fault.errno in FULL:
        return StoreFull(f"{doing}: {fault.strerror}")
    kind = StoreUnfit if isinstance(fault, OSError) and fault.errno in _UNFIT else StoreBroken
    return kind(f"{doing}: {getattr(fault, 'strerror', None) or fault}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise failures in place of `OSError`s."""
    try:
        yield
    except OSError as fault:
        raise failure(fault, doing) from fault
