"""Locks that the kernel gives back when their owner dies.

Two kinds, which do not see each other: `flock` on a whole file (readers share, an evictor is alone) and
open-file-description locks on ranges of bytes (fcntl(2), "Open file description locks"), which belong to one
`open` and not to a process, so that they also exclude each other inside one process.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload, settle, submit

_FLOCK: Final = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, len, pid
_BUSY: Final = frozenset({errno.EAGAIN, errno.EACCES})


def _set(fd: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))


def lock_range(fd: int, start: int, length: int) -> bool:
    """Try to lock bytes of `fd` for its open file; False where another open file has some of them."""
    try:
        _set(fd, fcntl.F_WRLCK, start, length)
    except OSError as fault:
        if fault.errno in _BUSY:
            return False
        raise
    return True


def unlock_range(fd: int, start: int, length: int) -> None:
    """Unlock bytes of a file."""
    _set(fd, fcntl.F_UNLCK, start, length)


def lock_lead(fd: int, start: int, stop: int) -> int:
    """Lock the longest leading part of [start, stop) that is free; gives where it ends."""
    while start < stop and not lock_range(fd, start, stop - start):
        probe = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, stop - start, 0)
        kind, _, taken, _, _ = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, probe))
        if kind != fcntl.F_UNLCK:  # else it was freed meanwhile: try again
            stop = min(stop, max(start, taken))
    return stop


def try_flock(fd: int, *, shared: bool) -> bool:
    """Try to lock the whole file; False where another open file is in the way."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(fd: int) -> None:
    """Give the lock on the whole file back."""
    fcntl.flock(fd, fcntl.LOCK_UN)


@contextmanager
def try_locked(path: Path) -> Iterator[bool]:
    """Like `locked`, but without waiting: False where another is alone with it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield try_flock(fd, shared=False)
    finally:
        os.close(fd)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be alone with `path`, among all threads and processes; waits. The file is made where there is none."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


class FileLock:
    """Try to be the one, among all threads and processes, who has `path`; `mine` says whether. In a thread.

    The file goes with the lock: a process that opened it meanwhile notices that it has no name any more, and
    begins again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        while True:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self.mine = try_flock(self._fd, shared=False)
            if not self.mine or os.fstat(self._fd).st_nlink:
                return
            os.close(self._fd)

    def release(self) -> None:
        """Give the lock up; its file goes with it."""
        if self.mine:
            self._path.unlink(missing_ok=True)
        os.close(self._fd)


@asynccontextmanager
async def file_locked(path: Path) -> AsyncIterator[bool]:
    """Like `FileLock`, from a task: whether `path` is had within."""
    with translated("locking"):
        locking = submit(FileLock, path)
        try:
            lock = await settle(locking)
        except asyncio.CancelledError:
            if locking.exception() is None:
                await offload(locking.result().release)  # nobody else would, as long as the process lives
            raise
    try:
        yield lock.mine
    finally:
        await offload(lock.release)


class ProcessLock:
    """A process that shares something: `first` where no other does when it is made. Then `share` it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.first = try_flock(self._fd, shared=False)
        if not self.first:
            fcntl.flock(self._fd, fcntl.LOCK_SH)  # waits until the first is ready

    def share(self) -> None:
        """Let others in."""
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def is_last(self) -> bool:
        """Whether nobody else is left; if so, nobody comes in until it is closed."""
        return try_flock(self._fd, shared=False)

    def close(self) -> None:
        """Give the lock up."""
        os.close(self._fd)
