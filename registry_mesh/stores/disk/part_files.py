"""The two files of a partial blob: a sparse one with its bytes, and the table of its chunks (`stores.disk.hold_file`).

`reserved`, together with the ledger, is changed under `PartFiles.alone` (flock on the hold file), names under
`Shelf.alone`. Who may change a chunk's bytes is said in `stores.disk.hold`.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB, ChunkMap, chunk_length, chunk_span
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.stores import points
from registry_mesh.stores.disk import hold_file, temporary
from registry_mesh.stores.disk.hold_file import HoldFile, stated_size
from registry_mesh.stores.disk.index.index import RowState
from registry_mesh.stores.disk.locks import lock_range, try_flock, unlock_range
from registry_mesh.stores.disk.punch import punch
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.space.ledger import charge
from registry_mesh.stores.writing import write_all

INDEX_AHEAD: Final = 32 * MIB // CHUNK
"""Chunks by which a partial blob's row in the index is ahead of it."""


class PartFiles:
    """The two files of a partial blob, open and locked shared. In threads, but for states."""

    def __init__(self, shelf: Shelf, info: BlobInfo, data_fd: int, table: HoldFile) -> None:
        self.shelf = shelf
        self.info = info
        self.fd = data_fd
        self.table = table
        self.table_room = charge(hold_file.length(info.size))
        self._lock = threading.Lock()
        self._ahead = 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only thread and process to change what is reserved."""
        with self._lock:
            fcntl.flock(self.table.fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self.table.fd, fcntl.LOCK_UN)

    def room(self, index: int) -> int:
        """Bytes that a chunk takes of the disk."""
        return charge(chunk_length(index, self.info.size))

    def reserve(self, chunks: range) -> None:
        """Have room for all of them, or `StoreFull` and for no more than before."""
        if all(self.table.reservations(chunks.start, chunks.stop)):
            return
        with self.alone():
            if self.table.discarded:
                raise StoreBroken("the hold was discarded")
            reserved = self.table.reservations(chunks.start, chunks.stop)
            new = [index for index, has in zip(chunks, reserved, strict=True) if not has]
            self._index_ahead(len(new))
            if new:  # the last chunk of the blob alone is shorter than the others
                self.shelf.room.take((len(new) - 1) * CHUNK + self.room(new[-1]))
            points.reach("hold.reserved")
            self.table.set_reserved(chunks.start, True, len(chunks))

    def reserved(self) -> int:
        """What the ledger counts of both files."""
        return hold_file.counted(self.table.copy())

    def _index_ahead(self, chunks: int) -> None:
        """Keep the row's `held` ahead of what is reserved, without writing it each time."""
        self._ahead -= chunks
        if self._ahead < 0:
            self._ahead = INDEX_AHEAD
            held = self.reserved() + (INDEX_AHEAD + chunks) * CHUNK
            self.shelf.enter(self.info.digest, self.info.size, held, RowState.PARTIAL)

    def index_exactly(self) -> None:
        """Write the row. By who has the blob for itself."""
        self.shelf.enter(self.info.digest, self.info.size, self.reserved(), RowState.PARTIAL)

    def give_back(self, index: int) -> None:
        """Drop the bytes of a chunk that is missing. The caller has it claimed."""
        with self.alone():
            if self.table.state(index) or not self.table.reserved(index):
                return
            span = chunk_span(index, self.info.size)
            points.reach("hold.punch")
            if punch(self.fd, span.start, charge(len(span))):  # a page that is punched in part stays
                self.note_mtime()
                points.reach("hold.punched")
                self.table.set_reserved(index, False)
                self.shelf.room.give(self.room(index))

    def give_all_back(self) -> None:
        """Nothing is held any more: give back what is reserved. The files have lost their names already."""
        for index, reserved in enumerate(self.table.reservations()):
            if reserved:
                self.table.set_reserved(index, False)
                self.shelf.room.give(self.room(index))
        self.shelf.room.give(self.table_room)

    def tidy(self) -> None:
        """Give back what a process that died had reserved and not finished."""
        states, reserved = self.table.states(), self.table.reservations()
        for index in (i for i, each in enumerate(reserved) if each and not states[i]):
            if lock_range(self.table.fd, index, 1):
                try:
                    self.give_back(index)
                finally:
                    unlock_range(self.table.fd, index, 1)

    def note_mtime(self) -> None:
        """Note in the table that the part was last written by us."""
        self.table.set_mtime_ns(os.fstat(self.fd).st_mtime_ns)

    def is_cut_short(self) -> bool:
        """Whether somebody else cut the file, which was made as long as the blob."""
        return os.fstat(self.fd).st_size < self.info.size

    def end(self) -> None:
        """Discard it: those that have it open are told. Under `Shelf.alone`."""
        with self.alone():
            points.reach("hold.discard")
            self.table.set_discarded()
            self.drop()

    def drop(self, *, bytes_too: bool = True) -> None:
        """Take both names away, which must be ours, and the bytes from those that have them open: what is given back is
        free then. Under `Shelf.alone`."""
        points.reach("hold.drop_data")
        self.shelf.layout.part(self.info.digest).unlink(missing_ok=True)
        points.reach("hold.drop_table")
        self.shelf.layout.part_hold(self.info.digest).unlink(missing_ok=True)
        points.reach("hold.dropped")
        if bytes_too:
            os.ftruncate(self.fd, 0)
        self.give_all_back()
        if not self.table.committed:
            self.shelf.index.forget(self.info.digest)

    def close(self) -> None:
        """Close both files."""
        self.table.close()
        os.close(self.fd)


def open_part(shelf: Shelf, digest: Digest, size: int | None) -> PartFiles | None:
    """The partial blob's files; made where there are none and `size` is given. Under `Shelf.alone`.

    `StoreBroken` where it is open elsewhere with another size.
    """
    data_path, table_path = shelf.layout.part(digest), shelf.layout.part_hold(digest)
    stated = stated_size(table_path)
    if stated is None or (size is not None and stated != size) or not data_path.exists():
        _clear(shelf, digest)
        stated = None
    elif _is_cut_under_others(data_path, stated):
        files = _open(shelf, BlobInfo(digest, stated))
        files.end()
        files.close()
        stated = None
    if stated is None:
        if size is None:
            return None
        _make(shelf, digest, size)
    info = BlobInfo(digest, stated if size is None else size)  # type: ignore[arg-type]  # one is set
    return _recount(_set_length(_open(shelf, info)))


def _is_cut_under_others(data_path: Path, size: int) -> bool:
    """Whether the file is shorter than its blob, and somebody has it open. A reader finds its end and breaks off;
    were it made as long as the blob again, he would be sent the zeros of its hole."""
    fd = os.open(data_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.fstat(fd).st_size < size and not try_flock(fd, shared=False)
    finally:
        os.close(fd)


def _recount(files: PartFiles) -> PartFiles:
    """Where the ledger counts the row's bound of it (since the last start), have it count what is reserved."""
    row = files.shelf.index.row(files.info.digest)
    if row is not None and row.state is RowState.BOUNDED:
        files.index_exactly()
        files.shelf.room.give(row.held - files.reserved())
        files.tidy()
    return files


def _clear(shelf: Shelf, digest: Digest) -> None:
    """Remove files that are of no use: one without the other, garbled, discarded or of another size."""
    data_path, table_path = shelf.layout.part(digest), shelf.layout.part_hold(digest)
    with suppress(FileNotFoundError, NotADirectoryError):
        fd = os.open(data_path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if not try_flock(fd, shared=False):
                raise StoreBroken(f"{digest} is being held with another size")
            data_path.unlink(missing_ok=True)
        finally:
            os.close(fd)
    room = counted_of(shelf, digest)
    table_path.unlink(missing_ok=True)
    shelf.index.forget(digest)
    shelf.room.give(room)


def counted_of(shelf: Shelf, digest: Digest) -> int:
    """What the ledger counts of a partial blob that is not open; 0 where its table cannot tell."""
    row = shelf.index.row(digest)
    if row is not None and row.state is RowState.BOUNDED:
        return row.held
    try:
        table_path = shelf.layout.part_hold(digest)
        if table_path.stat().st_nlink > 1:  # it is a complete blob's, too
            return 0
        return hold_file.counted(table_path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, hold_file.HoldFileInvalid):
        return 0


def _make(shelf: Shelf, digest: Digest, size: int) -> None:
    """An empty partial blob: data first, so that a table never stands alone."""
    data_path, table_path = shelf.layout.part(digest), shelf.layout.part_hold(digest)
    shelf.make_board(data_path)
    table = hold_file.fresh(size)
    shelf.enter(digest, size, charge(len(table)), RowState.PARTIAL)
    shelf.room.take(charge(len(table)))
    try:
        points.reach("hold.make_data")
        fd = os.open(data_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)
        fd, path = temporary.create(shelf.layout.tmp)
        try:
            shelf.room.on_disk(len(table), lambda: write_all(fd, [table], 0))
            points.reach("hold.make_table")
            path.replace(table_path)
        finally:
            path.unlink(missing_ok=True)
            os.close(fd)
    except BaseException:
        data_path.unlink(missing_ok=True)
        shelf.room.give(charge(len(table)))
        raise


def _open(shelf: Shelf, info: BlobInfo) -> PartFiles:
    data_fd = os.open(shelf.layout.part(info.digest), os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(data_fd, fcntl.LOCK_SH)  # an evictor lets go of it within a step
        table_fd = os.open(shelf.layout.part_hold(info.digest), os.O_RDWR | os.O_CLOEXEC)
        try:
            table = HoldFile(table_fd, info.size)
        except BaseException:
            os.close(table_fd)
            raise
    except BaseException:
        os.close(data_fd)
        raise
    table.forget_doubtful()
    return PartFiles(shelf, info, data_fd, table)


def _set_length(files: PartFiles) -> PartFiles:
    """Of a file that was cut short or grew while nobody had it: the checksums find what is gone."""
    if os.fstat(files.fd).st_size != files.info.size:
        os.ftruncate(files.fd, files.info.size)
    return files


def promote(files: PartFiles, chunk_map: ChunkMap | None) -> None:
    """Give a partial blob whose chunks are all there the name of a complete one. Under `Shelf.alone`."""
    shelf, info, layout = files.shelf, files.info, files.shelf.layout
    if shelf.has(info):
        files.table.set_committed()
        if os.path.samestat(os.fstat(files.fd), layout.blob(info.digest).stat()):
            layout.part_hold(info.digest).unlink(missing_ok=True)  # who committed it died before this
        else:  # it came another way meanwhile
            with files.alone():
                files.drop(bytes_too=False)  # readers follow them
        return
    shelf.enter(info.digest, info.size, charge(info.size), RowState.PENDING)
    shelf.make_board(layout.blob(info.digest))
    beside = layout.blob_hold(info.digest)
    if info.size > CHUNK:  # a small blob is checked by its digest
        if chunk_map is not None:
            shelf.put_chunk_map(info.digest, chunk_map)
        points.reach("hold.link")
        beside.unlink(missing_ok=True)  # left by a process that died here
        os.link(layout.part_hold(info.digest), beside)
    points.reach("hold.name")
    layout.part(info.digest).replace(layout.blob(info.digest))
    points.reach("hold.named")
    files.table.set_committed()
    layout.part_hold(info.digest).unlink(missing_ok=True)
    if info.size <= CHUNK:
        shelf.room.give(files.table_room)
    points.reach("hold.enter")
    shelf.enter_complete(info.digest, info.size)
    shelf.fsync.sync_entry(layout.blob(info.digest).parent)
