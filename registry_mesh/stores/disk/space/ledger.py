"""The ledger: how many bytes a store's files take, shared by all its processes.

A counter in a mapped file, changed under a lock of a few microseconds, so that room is taken before bytes are
written and no two processes take the same room. After a kill -9 it may say too much, never too little.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PAGE: Final = 4096


def charge(size: int) -> int:
    """What a file of `size` bytes takes: whole pages, as a file system gives them."""
    return -(-size // PAGE) * PAGE


class Ledger:
    """The counter in the file `path`. `limit` is in bytes; None: there is none. OSError where the disk has no room."""

    def __init__(self, path: Path, limit: int | None) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(self._fd, 0, PAGE)  # who touches a page that the disk lacks room for is killed
        except OSError:
            os.close(self._fd)
            raise
        self._map = mmap.mmap(self._fd, PAGE)
        self._used = memoryview(self._map).cast("q")

    def __repr__(self) -> str:
        return f"<ledger: {self.used} of {self.limit} bytes>"

    @property
    def used(self) -> int:
        """Bytes used and reserved, by all processes."""
        return self._used[0]

    def reserve(self, room: int) -> bool:
        """Take `room` bytes; False, and nothing taken, where that would go over the limit."""
        with self._alone():
            after = self._used[0] + room
            if self.limit is not None and after > self.limit and room > 0:
                return False
            self._used[0] = after
            return True

    def take(self, room: int) -> None:
        """Count `room` bytes that must be, over the limit or not: a moment's table of a few KiB."""
        with self._alone():
            self._used[0] += room

    def release(self, room: int) -> None:
        """Count `room` bytes less."""
        with self._alone():
            self._used[0] = max(0, self._used[0] - room)

    def recount(self, used: int) -> None:
        """State what is used, known by counting."""
        with self._alone():
            self._used[0] = used
            self._used[1] = 1

    def forget(self) -> None:
        """What is used is not known any more."""
        with self._alone():
            self._used[0] = self._used[1] = 0

    @property
    def counted(self) -> bool:
        """Whether it has ever been said what is used: False for a ledger just made."""
        return bool(self._used[1])

    def is_at(self, path: Path) -> bool:
        """Whether this is still the file of that name."""
        try:
            return os.path.samestat(path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Unmap the file of the ledger."""
        self._used.release()
        self._map.close()
        os.close(self._fd)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:  # flock excludes other processes only: our threads share the open file
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
