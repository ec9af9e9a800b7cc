"""Which chunks of a partial blob were checked against their sums since anybody else wrote to its file."""

from __future__ import annotations

import os

from registry_mesh.stores.disk.looks import PartLooks
from registry_mesh.stores.disk.part_files import PartFiles


class Checked:
    """Of one hold. `looks`: what is remembered of former ones."""

    def __init__(self, files: PartFiles, looks: PartLooks | None) -> None:
        self._files = files
        self._looks = looks
        self._checked = bytearray(self._remembered() or files.table.chunks)
        self._mtime = 0

    def _remembered(self) -> bytes | None:
        if self._looks is None or not self.untouched:
            return None
        return self._looks.of(self._files.info.digest, os.fstat(self._files.fd))

    def remember(self) -> None:
        """Let the next hold know, where the file is as it was left."""
        if self._looks is not None and self.untouched:
            self._looks.keep(self._files.info.digest, os.fstat(self._files.fd), bytes(self._checked))

    @property
    def untouched(self) -> bool:
        """See `ports.partial.Marks`."""
        status = os.fstat(self._files.fd)
        whole = status.st_nlink and status.st_size == self._files.info.size
        return bool(whole) and status.st_mtime_ns == self._files.table.mtime_ns

    def states(self) -> bytes:
        """1 for each chunk that was checked, 0 for the others."""
        return bytes(self._checked)

    def note(self, index: int, good: bool, chunks: int = 1) -> None:
        """So many chunks from `index` on were checked, or have to be."""
        self._checked[index : index + chunks] = bytes((good,)) * chunks

    def has(self, index: int) -> bool:
        """Whether it was checked and nobody but us and our like has written to the file since."""
        status = os.fstat(self._files.fd)
        ours = status.st_mtime_ns in (self._files.table.mtime_ns, self._mtime)
        if status.st_size == self._files.info.size and ours:
            return bool(self._checked[index])
        self._mtime = status.st_mtime_ns
        self._checked = bytearray(self._files.table.chunks)
        return False
