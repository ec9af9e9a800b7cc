"""Bytes of a complete blob that are no longer what they were."""

from __future__ import annotations

import os
from typing import Final

from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.stores import points
from registry_mesh.stores.disk import hold_file, temporary
from registry_mesh.stores.disk.hold_file import HoldFile
from registry_mesh.stores.disk.index.index import RowState
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.space.ledger import charge
from registry_mesh.stores.faults import FULL

_GULP: Final = 64 << 20


class Rot:
    """A blob of which a chunk has rotted, as it is open at `fd`. In threads."""

    def __init__(self, shelf: Shelf, info: BlobInfo, fd: int) -> None:
        self._shelf = shelf
        self._info = info
        self._fd = fd

    def demote(self, index: int) -> None:
        """Make it a partial blob again that lacks chunk `index`, so that a fill brings it back. One whose chunks
        cannot be told apart goes as a whole."""
        with self._shelf.alone(self._info.digest):
            if self._is_still_there() and not self.make_partial(index):
                self._shelf.remove_alone(self._info.digest)

    def remove(self) -> None:
        """Take all of it away."""
        with self._shelf.alone(self._info.digest):
            if self._is_still_there():
                self._shelf.remove_alone(self._info.digest)

    def make_partial(self, missing: int | None = None) -> bool:
        """Make it a partial blob, of chunk `missing` or of all; False where it has no table, or the disk no room for
        one. Under `Shelf.alone`.

        A kill between two steps leaves the complete blob, and its rot to be found again; or a complete blob and a
        table without data, which the next to hold it clears away."""
        digest, layout = self._info.digest, self._shelf.layout
        table = self._table()
        if table is None:
            return False
        size = hold_file.read_size(table)
        held = charge(size) + charge(len(table))
        self._shelf.enter(digest, size, held, RowState.PENDING)
        self._shelf.fsync.make_directory(layout.part(digest).parent)
        if not self._put_table(table if missing is None else hold_file.clear_state(table, missing)):
            return False
        points.reach("rot.name")
        if os.fstat(self._fd).st_size < size:
            self._leave_to_readers()
        else:
            layout.blob(digest).replace(layout.part(digest))
        points.reach("rot.beside")
        self._shelf.remove_beside(digest)
        points.reach("rot.enter")
        self._shelf.enter(digest, size, held, RowState.PARTIAL)
        return True

    def _put_table(self, table: bytes) -> bool:
        """Put the table where a partial blob has it; False, and all as it was, where the disk is full."""
        digest, room = self._info.digest, self._shelf.room
        room.ledger.take(charge(len(table)))
        try:
            with self._shelf.written(table) as source:
                points.reach("rot.table")
                source.replace(self._shelf.layout.part_hold(digest))
        except OSError as fault:
            room.give(charge(len(table)))
            self._shelf.enter_complete(digest, self._info.size)
            if fault.errno not in FULL:
                raise
            return False
        return True

    def _leave_to_readers(self) -> None:
        """Make the part a copy of a file that was cut short. A reader of that file finds its end and breaks off;
        were it made as long as the blob again, he would be sent the zeros of its holes."""
        layout, digest = self._shelf.layout, self._info.digest
        fd, path = temporary.create(layout.tmp)
        try:
            offset = 0
            while copied := os.copy_file_range(self._fd, fd, _GULP, offset, offset):
                offset += copied
            self._shelf.fsync.sync_data(fd)
            path.replace(layout.part(digest))
        finally:
            os.close(fd)
            path.unlink(missing_ok=True)
        layout.blob(digest).unlink()

    def quarantine(self, index: int) -> None:
        """Put it aside for a person to look at: a push or a repair brings it back."""
        digest = self._info.digest
        with self._shelf.alone(digest):
            if self._is_still_there():
                points.reach("rot.quarantine")
                self._shelf.layout.blob(digest).replace(self._shelf.layout.rotten(digest))
                self._shelf.remove_beside(digest)
                self._shelf.index.forget(digest)

    def _is_still_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), self._shelf.layout.blob(self._info.digest).stat())
        except FileNotFoundError:
            return False

    def _table(self) -> bytes | None:
        path = self._shelf.layout.blob_hold(self._info.digest)
        size = hold_file.stated_size(path)  # not that of the file, which may be cut short
        if size is None:
            return None
        table = HoldFile(os.open(path, os.O_RDWR | os.O_CLOEXEC), size)
        try:
            return table.copy()
        finally:
            table.close()
