"""A span of a blob that came byte after byte, in a file of its own: part of a remainder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.stores.writing import write_all

_MOST: Final = 4 * MIB
"""Bytes of a file, and what comes at once: the next ones begin another, so that what the store has can be removed."""


class SpanFile:
    """Byte n of the file is byte `start` + n of the blob. At most a chunk is collected before it is written."""

    def __init__(self, path: Path, start: int, fd: int) -> None:
        self.path = path
        self.start = start
        self.stop = start + os.fstat(fd).st_size
        """Where the bytes in the file end."""
        self._fd = fd
        self._waiting: list[bytes] = []
        self._bytes = 0
        self.is_busy = False
        """A thread writes to it."""

    @classmethod
    def begin(cls, path: Path, start: int) -> SpanFile:
        """An empty one."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        return cls(path, start, os.open(path, flags, 0o600))

    @classmethod
    def found(cls, path: Path, start: int) -> SpanFile:
        """One that an earlier process left."""
        return cls(path, start, os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW))

    def goes_on_at(self, offset: int) -> bool:
        """Whether what comes at `offset` belongs here."""
        return offset == self.stop + self._bytes and offset < self.start + _MOST

    def collect(self, data: bytes) -> bool:
        """Take it in; whether it is time to write."""
        self._waiting.append(data)
        self._bytes += len(data)
        return self._bytes >= CHUNK or self.stop + self._bytes >= self.start + _MOST

    def collected(self) -> list[bytes]:
        """What waits to be written, for `write`; it waits no more."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        return waiting

    def is_spent(self, kept: int) -> bool:
        """Whether the store has all of it for good, once `kept` bytes of the blob are there."""
        return self.stop + self._bytes <= kept and not self.is_busy

    def write(self, pieces: Sequence[bytes]) -> None:
        """In a worker thread: `pieces` behind all that is in the file. `OSError`."""
        write_all(self._fd, pieces, self.stop - self.start)
        self.stop += sum(map(len, pieces))

    def read(self, offset: int, most: int) -> bytes:
        """In a worker thread: at most so many bytes of the blob from `offset` on."""
        return os.pread(self._fd, most, offset - self.start)

    def remove(self) -> None:
        """It is needed no more, and takes no room."""
        self.path.unlink(missing_ok=True)
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Nothing is written or read any more."""
        os.close(self._fd)
