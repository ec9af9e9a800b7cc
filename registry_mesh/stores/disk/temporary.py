"""Temporary files: finished under a name nobody looks for, then linked or renamed into place.

Each is locked by its owner as long as that lives. The length of one that is `counted` is what was reserved for it
in the ledger, so that the sweeper of an orphan knows what to give back.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from registry_mesh.stores.disk.locks import lock_range
from registry_mesh.stores.writing import write_all

_UNCOUNTED: Final = "u-"


def create(directory: Path, *, counted: bool = True) -> tuple[int, Path]:
    """A new file of ours, open for reading and writing, and its path."""
    while True:
        path = directory / f"{'' if counted else _UNCOUNTED}{os.getpid()}-{secrets.token_hex(8)}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        # Between open and lock a sweeper may take it for an orphan and remove it: then begin again.
        if lock_range(fd, 0, 1) and os.fstat(fd).st_nlink:
            return fd, path
        os.close(fd)


def try_writing(directory: Path) -> None:
    """Write a page to the disk, and remove it again; OSError where that cannot be."""
    fd, path = create(directory, counted=False)
    try:
        write_all(fd, [bytes(4096)], 0)
        os.fsync(fd)
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def sweep(directory: Path) -> Iterator[int]:
    """Remove the files whose owner is gone; gives the length of each that was counted."""
    for entry in os.scandir(directory):
        try:
            fd = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, IsADirectoryError):
            continue
        try:
            status = os.fstat(fd)
            if lock_range(fd, 0, 1) and status.st_nlink:
                Path(entry.path).unlink(missing_ok=True)
                yield 0 if entry.name.startswith(_UNCOUNTED) else status.st_size
        finally:
            os.close(fd)
