"""Open files of complete blobs, kept a moment after their last reader so that a hit costs no `open`.

An open file is locked shared, which spares its blob from eviction; but not while all its readers rest.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.stores import points
from registry_mesh.stores.disk.layout import Layout
from registry_mesh.stores.disk.locks import try_flock, unlock
from registry_mesh.stores.disk.looks import Look, Looks, signature

IDLE: Final = 2.0
"""Seconds an unused file stays open."""

KEPT: Final = 512
"""Files that are open for nobody."""


class OpenFile:
    """A blob's file as it was when it was opened: `again` gives it only as long as nothing changes it."""

    __slots__ = ("digest", "fd", "idle_since", "locked", "look", "readers", "resting", "size")

    def __init__(self, digest: Digest, fd: int, size: int, look: Look) -> None:
        self.digest = digest
        self.fd = fd
        self.size = size
        self.look = look
        self.readers = 0
        self.resting = 0  # of its readers
        self.locked = True
        self.idle_since = 0.0


class OpenFiles:
    """Any thread may call it."""

    def __init__(self, layout: Layout, looks: Looks, clock: Callable[[], float] = time.monotonic) -> None:
        self._layout = layout
        self._looks = looks
        self._clock = clock
        self._files: dict[str, OpenFile] = {}
        self._idle: OrderedDict[str, OpenFile] = (
            OrderedDict()
        )  # those without readers, the last used at the end
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._files)

    def again(self, digest: Digest) -> OpenFile | None:
        """The file, where it is open and still the blob's; one `fstat`. `release` it."""
        with self._lock:
            file = self._files.get(digest.hex)
            if file is None:
                return None
            if not self._locks(file) or signature(os.fstat(file.fd)) != file.look.signature:
                self._forget(file)  # evicted, written to, renamed or removed: look again
                return None
            file.readers += 1
            self._idle.pop(digest.hex, None)
            return file

    def _locks(self, file: OpenFile) -> bool:
        """Lock it, where it is not; False while it is being evicted."""
        file.locked = file.locked or try_flock(file.fd, shared=True)
        return file.locked

    def rest(self, file: OpenFile) -> None:
        """One of its readers reads nothing now: the blob may be evicted. `wake` it before the next byte."""
        with self._lock:
            file.resting += 1
            self._unlock_if_all_rest(file)

    def wake(self, file: OpenFile) -> bool:
        """The reader goes on, after a look at the file, which may have been evicted since; False while it is."""
        with self._lock:
            if not self._locks(file):
                return False
            file.resting -= 1
            return True

    def _unlock_if_all_rest(self, file: OpenFile) -> None:
        if file.locked and file.readers == file.resting:
            unlock(file.fd)
            file.locked = False

    def open(self, digest: Digest) -> OpenFile | None:
        """Open the blob's file, in a thread; None where there is none or it is being evicted. `release` it."""
        file = self.again(digest)
        if file is not None:
            return file
        try:
            fd = os.open(self._layout.blob(digest), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        points.reach("open.opened")
        if not try_flock(fd, shared=True) or not self._is_named(fd, digest):
            os.close(fd)
            return None
        status = os.fstat(fd)
        file = OpenFile(digest, fd, status.st_size, self._looks.of(digest, status))
        file.readers = 1
        with self._lock:
            before = self._files.get(digest.hex)
            if before is not None:
                self._forget(before)
            self._files[digest.hex] = file
            while len(self._idle) > KEPT:
                self._forget(next(iter(self._idle.values())))
        return file

    def _is_named(self, fd: int, digest: Digest) -> bool:
        """Whether `fd`, locked by now, is still the complete blob: an evictor that was faster has renamed the file,
        and its name is that of a partial blob."""
        try:
            return os.path.samestat(os.fstat(fd), self._layout.blob(digest).stat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def release(self, file: OpenFile, *, resting: bool = False) -> None:
        """One reader less. The last one's file stays open for a while, and is unlocked where all who have it rest."""
        with self._lock:
            file.readers -= 1
            file.resting -= resting
            if file.readers:
                self._unlock_if_all_rest(file)
            elif self._files.get(file.digest.hex) is file:
                file.idle_since = self._clock()
                self._idle[file.digest.hex] = file
            else:
                os.close(file.fd)

    def sweep(self) -> None:
        """Close what nobody has read for a while."""
        before = self._clock() - IDLE
        with self._lock:
            while self._idle and (file := next(iter(self._idle.values()))).idle_since <= before:
                self._forget(file)

    def let_go(self, digest: Digest) -> bool:
        """Close the blob's file, for an evictor; False where somebody reads it."""
        with self._lock:
            file = self._files.get(digest.hex)
            if file is None:
                return True
            if file.readers > file.resting:
                return False
            if not file.readers:
                self._forget(file)
            return True

    def drop(self, file: OpenFile) -> None:
        """It is the blob's no more: the next request opens anew."""
        with self._lock:
            if self._files.get(file.digest.hex) is file:
                self._forget(file)

    def close(self) -> None:
        """Close every file that nobody reads, and forget the others."""
        with self._lock:
            for file in list(self._files.values()):
                self._forget(file)

    def _forget(self, file: OpenFile) -> None:
        del self._files[file.digest.hex]
        self._idle.pop(file.digest.hex, None)
        if not file.readers:
            os.close(file.fd)
