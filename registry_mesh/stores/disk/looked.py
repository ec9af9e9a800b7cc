"""Which chunks of partial blobs this process has looked at, from one hold of a blob to the next: clients come and go,
and each of them would else have all that it reads checked again."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Final

from registry_mesh.oci.digest import Digest

_ROOM: Final = 16 << 20
"""Bytes of memory; a chunk takes one."""

_Kept = tuple[int, int, bytes]


class Looked:
    """True of a file as long as nobody writes to it, those who fill it included. Any thread may call it."""

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._kept: OrderedDict[Digest, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, digest: Digest, status: os.stat_result, checked: bytes) -> None:
        """A byte for each chunk: 1 where it was looked at, and good, in the file with that status."""
        with self._lock:
            self._drop(digest)
            self._kept[digest] = (status.st_ino, status.st_mtime_ns, checked)
            self._room -= len(checked)
            while self._room < 0:
                self._drop(next(iter(self._kept)))

    def _drop(self, digest: Digest) -> None:
        kept = self._kept.pop(digest, None)
        if kept is not None:
            self._room += len(kept[2])

    def of(self, digest: Digest, status: os.stat_result) -> bytes | None:
        with self._lock:
            kept = self._kept.get(digest)
        return kept[2] if kept and kept[:2] == (status.st_ino, status.st_mtime_ns) else None
