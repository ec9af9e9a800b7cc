"""A hold that rests: its blob may be evicted meanwhile, whole or in part."""

from __future__ import annotations

import fcntl
import os

from registry_mesh.stores.disk.locks import try_flock, unlock
from registry_mesh.stores.disk.part_files import PartFiles


class HoldRest:
    """Of one hold with these files, which are locked shared unless it rests."""

    def __init__(self, files: PartFiles) -> None:
        self._files = files
        self._held: bytes | None = None
        """What was held when it began to rest; None while it does not."""

    def begin(self) -> bool:
        """Let go of the lock."""
        if self._held is None:
            self._held = self._files.table.states()
            unlock(self._files.fd)
        return True

    def end(self) -> bool:
        """Lock again, at once; False where an evictor, or somebody else, has been here, or is."""
        if self._held is None:
            return True
        if not try_flock(self._files.fd, shared=True):
            return False
        if not self._is_as_left(self._held):
            unlock(self._files.fd)
            return False
        self._held = None
        return True

    def close(self) -> bool:
        """In a thread: lock again, for what is to be done at the end of the hold; False where its files may be others'
        by now, and are to be left alone."""
        if self._held is None:
            return True
        fcntl.flock(self._files.fd, fcntl.LOCK_SH)  # an evictor lets go of it within a step
        return self._is_as_left(self._held)

    def _is_as_left(self, held: bytes) -> bool:
        """Whether all that was held is, in files that nobody else has written to, cut short or taken away. Of a blob
        that became complete an evictor makes another table: its file says then that it was written to."""
        status, table = os.fstat(self._files.fd), self._files.table
        ours = status.st_nlink and status.st_size == self._files.info.size
        if not ours or table.discarded or status.st_mtime_ns != table.mtime_ns:
            return False
        return all(now or not before for before, now in zip(held, table.states(), strict=True))
