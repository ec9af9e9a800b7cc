"""Partial blobs on a disk.

Who may change what, and under which lock:

- A chunk's bytes, state and checksum: who has claimed it (a lock on byte `index` of the hold file, for the open
  file). Setting MISSING: anybody, since it only costs a fetch.
- `reserved`, together with the ledger: under `_alone` (flock on the hold file).
- Names: under `Shelf.alone`.
- An evictor needs the data file for itself; every hold locks it shared while it is open.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB, ChunkMap, chunk_span, count
from registry_mesh.content.errors import StoreBroken
from registry_mesh.content.ports import PIECE, BlobInfo, ChunkState, FileSlice
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.stores import hold_file, points, temporary
from registry_mesh.stores.checksum import crc32
from registry_mesh.stores.durability import FsyncPolicy
from registry_mesh.stores.faults import translated
from registry_mesh.stores.hold_file import HoldFile, stated_size
from registry_mesh.stores.index import RowState
from registry_mesh.stores.ingest import write_all
from registry_mesh.stores.ledger import charge
from registry_mesh.stores.locks import lock_lead, lock_range, try_flock, unlock_range
from registry_mesh.stores.offload import offload, settle, submit
from registry_mesh.stores.punch import punch
from registry_mesh.stores.read_apart import read_apart
from registry_mesh.stores.shelf import Shelf

INDEX_AHEAD: Final = 32 * MIB // CHUNK
"""Chunks by which a partial blob's row in the index is ahead of it."""

SYNC_EVERY: Final = 32 << 20
"""Bytes after which written chunks are synced (`FsyncPolicy.COMMIT`)."""


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
        return charge(len(chunk_span(index, self.info.size)))

    def reserve(self, chunks: range) -> None:
        """Have room for all of them, or `StoreFull` and for no more than before."""
        if all(map(self.table.reserved, chunks)):
            return
        with self.alone():
            if self.table.discarded:
                raise StoreBroken("the hold was discarded")
            new = [index for index in chunks if not self.table.reserved(index)]
            self._index_ahead(len(new))
            self.shelf.room.take(sum(map(self.room, new)))
            points.reach("hold.reserved")
            for index in new:
                self.table.set_reserved(index, True)

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
        self.table.set_mtime_ns(os.fstat(self.fd).st_mtime_ns)

    def drop(self) -> None:
        """Take both names away, which must be ours. Under `Shelf.alone`."""
        points.reach("hold.drop_data")
        self.shelf.layout.part(self.info.digest).unlink(missing_ok=True)
        points.reach("hold.drop_table")
        self.shelf.layout.part_hold(self.info.digest).unlink(missing_ok=True)
        points.reach("hold.dropped")
        self.give_all_back()
        if not self.table.committed:
            self.shelf.index.forget(self.info.digest)

    def close(self) -> None:
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
    if stated is None:
        if size is None:
            return None
        _make(shelf, digest, size)
    return _settle(_open(shelf, BlobInfo(digest, stated if size is None else size)))  # type: ignore[arg-type]  # one is set


def _settle(files: PartFiles) -> PartFiles:
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
    room = _counted(shelf, digest)
    table_path.unlink(missing_ok=True)
    shelf.index.forget(digest)
    shelf.room.give(room)


def _counted(shelf: Shelf, digest: Digest) -> int:
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
    shelf.fsync.make_directory(data_path.parent)
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
            os.write(fd, table)
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
        if os.fstat(data_fd).st_size != info.size:
            os.ftruncate(data_fd, info.size)  # cut short: the checksums find what is gone
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


class DiskHold:
    """Implements `content.ports.Hold`. Each has its own open files: two of one process exclude each other's claims
    as two processes do."""

    def __init__(self, files: PartFiles) -> None:
        self._files = files
        self._table = files.table
        self.info = files.info
        self._sums: dict[int, tuple[int, int]] = {}  # of chunks under way: bytes so far, their crc32
        self._checked = bytearray(self._table.chunks)
        self._checked_mtime = 0
        self._unsynced: set[int] = set()
        self._unsynced_bytes = 0
        self._giving_back: list[Future[None]] = []

    def __repr__(self) -> str:
        held = self._table.chunks - self._table.states().count(0)
        word = "committed" if self.committed else "discarded" if self.discarded else "open"
        return f"<hold of {self.info.digest}: {held}/{self._table.chunks} chunks, {word}>"

    @property
    def committed(self) -> bool:
        return self._table.committed

    @property
    def discarded(self) -> bool:
        return self._table.discarded

    def state(self, index: int) -> ChunkState:
        state = self._table.state(index)
        return ChunkState(state) if state <= ChunkState.PROVEN else ChunkState.MISSING

    def missing(self) -> int:
        return self._table.states().count(0)

    def run(self, index: int, stop: int, state: ChunkState) -> int:
        return self._table.run(index, stop, state)

    def claim(self, chunks: range) -> range:
        stop = chunks.start + self._missing_run(chunks)
        stop = lock_lead(self._table.fd, chunks.start, stop)
        # Another process may have finished some between the look and the lock: look again.
        missing = chunks.start + self._missing_run(range(chunks.start, stop))
        if missing < stop:
            unlock_range(self._table.fd, missing, stop - missing)
        return range(chunks.start, missing)

    def _missing_run(self, chunks: range) -> int:
        states = self._table.states(chunks.start, chunks.stop)
        return len(states) - len(states.lstrip(b"\0"))

    def unclaim(self, chunks: range) -> None:
        if not chunks:
            return
        unlock_range(self._table.fd, chunks.start, len(chunks))
        for index, state in enumerate(self._table.states(chunks.start, chunks.stop), chunks.start):
            if not state and self._table.reserved(index):  # begun and not finished
                self._sums.pop(index, None)
                self._begin_give_back(index)

    async def write(self, offset: int, data: Sequence[bytes], then: Callable[[], None]) -> None:
        with translated(f"writing a part of {self.info.digest}"):
            await offload(self._write, offset, data, then)

    def _write(self, offset: int, data: Sequence[bytes], then: Callable[[], None]) -> None:
        if self._table.committed or self._table.discarded:
            raise StoreBroken("the hold was committed or discarded")
        length = sum(map(len, data))
        if offset + length > self.info.size:
            raise ValueError(f"{offset + length - self.info.size} bytes past the end")
        self._files.reserve(range(offset // CHUNK, count(offset + length)))
        points.reach("hold.write")
        write_all(self._files.fd, list(data), offset)
        self._files.note_mtime()
        self._sum(offset, data)
        then()
        self._unsynced_bytes += length
        policy = self._files.shelf.fsync
        if policy is FsyncPolicy.ALWAYS or (
            policy is FsyncPolicy.COMMIT and self._unsynced_bytes >= SYNC_EVERY
        ):
            self._sync()

    def _sum(self, offset: int, data: Sequence[bytes]) -> None:
        for piece in data:
            view = memoryview(piece)
            while view:
                index, start = divmod(offset, CHUNK)
                part = view[: CHUNK - start]
                done, summed = self._sums.get(index, (0, 0)) if start else (0, 0)
                if done == start:  # else it began elsewhere: `mark` reads it again
                    self._sums[index] = (start + len(part), crc32(part, summed))
                offset, view = offset + len(part), view[len(part) :]

    def _sync(self) -> None:
        """Chunks that were marked before the sync began are safe after it."""
        marked, self._unsynced = self._unsynced, set()
        self._unsynced_bytes = 0
        points.reach("hold.sync")
        os.fdatasync(self._files.fd)
        points.reach("hold.synced")
        for index in marked:
            self._table.set_synced(index, True)

    def mark(self, index: int, state: ChunkState) -> None:
        if state is ChunkState.MISSING:
            self._mark_missing(index)
            return
        if not self._table.state(index):
            done, summed = self._sums.pop(index, (0, 0))
            if done != len(chunk_span(index, self.info.size)):
                summed = self._read_sum(index)
            self._table.set_crc32(index, summed)
            self._checked[index] = 1
            if self._files.shelf.fsync is FsyncPolicy.ALWAYS:
                self._table.set_synced(index, True)
            else:
                self._unsynced.add(index)
        self._table.set_state(index, state)

    def _mark_missing(self, index: int) -> None:
        self._table.set_state(index, ChunkState.MISSING)
        self._table.set_synced(index, False)
        self._checked[index] = 0
        self._sums.pop(index, None)
        self._unsynced.discard(index)
        if self._table.reserved(index):
            self._begin_give_back(index)

    def _begin_give_back(self, index: int) -> None:
        self._giving_back = [each for each in self._giving_back if not each.done()]
        self._giving_back.append(submit(self._give_back, index))

    def _give_back(self, index: int) -> None:
        """In a thread, later: somebody may be writing the chunk anew by then."""
        table_fd = os.open(f"/proc/self/fd/{self._table.fd}", os.O_RDWR | os.O_CLOEXEC)
        try:
            # Through another open file, so that a claim of our own is in the way too: then `unclaim` comes here.
            if lock_range(table_fd, index, 1):
                self._files.give_back(index)
        finally:
            os.close(table_fd)

    async def read(self, span: Span) -> bytes:
        if len(span) > PIECE:
            raise ValueError(f"{len(span)} bytes at once")
        with translated(f"reading a part of {self.info.digest}"):
            return await offload(os.pread, self._files.fd, len(span), span.start)

    async def feed(self, span: Span, sink: Callable[[memoryview], None]) -> None:
        with translated(f"reading a part of {self.info.digest}"):
            await offload(feed, self._files.fd, span, sink)

    def slice(self, span: Span) -> FileSlice:
        return FileSlice(self._files.fd, span.start, span.stop)

    async def check(self, index: int) -> bool:
        if not self._table.state(index):
            return False
        if self._is_checked(index):
            return True
        with translated(f"checking a part of {self.info.digest}"):
            good = await offload(self._read_sum, index) == self._table.crc32(index)
        if good:
            self._checked[index] = 1
        elif self._table.state(index) and not self._table.committed:
            self._mark_missing(index)
        return good

    async def recheck(self, chunks: Sequence[int]) -> list[int]:
        """Read chunks that are held, whatever was checked before and without keeping them in memory. Gives those
        that have rotted, which are MISSING from then on."""
        with translated(f"checking a part of {self.info.digest}"):
            bad = await offload(self._rotten, chunks)
        for index in bad:
            if self._table.state(index) and not self._table.committed:
                self._mark_missing(index)
        return bad

    def _rotten(self, chunks: Sequence[int]) -> list[int]:
        return [
            i for i in chunks if not self._still_fits(i) and not self._still_fits(i)
        ]  # once more: it was torn?

    def _still_fits(self, index: int) -> bool:
        span = chunk_span(index, self.info.size)
        return crc32(read_apart(self._files.fd, span.start, len(span))) == self._table.crc32(index)

    def _is_checked(self, index: int) -> bool:
        """Whether it was checked and nobody but us and our like has written to the file since."""
        status = os.fstat(self._files.fd)
        if status.st_size == self.info.size and status.st_mtime_ns in (
            self._table.mtime_ns,
            self._checked_mtime,
        ):
            return bool(self._checked[index])
        self._checked_mtime = status.st_mtime_ns
        self._checked = bytearray(self._table.chunks)
        return False

    def _read_sum(self, index: int) -> int:
        span = chunk_span(index, self.info.size)
        return crc32(os.pread(self._files.fd, len(span), span.start))

    async def commit(self, chunk_map: ChunkMap | None) -> None:
        with translated(f"committing {self.info.digest}"):
            await offload(self._commit, chunk_map)

    def _commit(self, chunk_map: ChunkMap | None) -> None:
        files, shelf = self._files, self._files.shelf
        with shelf.alone(self.info.digest):
            if self._table.committed:
                return
            if self._table.discarded:
                raise StoreBroken("the hold was discarded")
            if self._table.run(0, self._table.chunks, ChunkState.UNPROVEN) < self._table.chunks:
                raise ValueError("a blob with missing chunks cannot be committed")
            points.reach("hold.commit_sync")
            shelf.fsync.sync_data(files.fd)
            for index in range(self._table.chunks):
                self._table.set_synced(index, shelf.fsync is not FsyncPolicy.NEVER)
                self._table.set_state(index, ChunkState.PROVEN)
            self._unsynced = set()
            if shelf.fsync is not FsyncPolicy.NEVER:
                self._table.flush()
            promote(files, chunk_map)

    async def discard(self) -> None:
        with translated(f"discarding {self.info.digest}"):
            await offload(self._discard)

    def _discard(self) -> None:
        with self._files.shelf.alone(self.info.digest), self._files.alone():
            if self._table.committed or self._table.discarded:
                return
            points.reach("hold.discard")
            self._table.set_discarded()
            self._files.drop()

    async def close(self) -> None:
        """Give up claims, sync what was marked, drop the files where nothing is held and nobody else has them."""
        for each in self._giving_back:
            with suppress(OSError):
                await settle(each)
        with translated(f"closing the hold of {self.info.digest}"):
            await offload(self._close)

    def _close(self) -> None:
        try:
            if not self._table.committed and not self._table.discarded:
                if self._unsynced and self._files.shelf.fsync is not FsyncPolicy.NEVER:
                    self._sync()
                unlock_range(self._table.fd, 0, self._table.chunks)
                self._files.tidy()
                self._leave_alone()
        finally:
            self._files.close()

    def _leave_alone(self) -> None:
        """The last one out writes the row, or drops the files where nothing is held."""
        with self._files.shelf.alone(self.info.digest):
            if not try_flock(self._files.fd, shared=False) or self._table.committed or self._table.discarded:
                return
            if any(self._table.reservations()):
                self._files.index_exactly()
            else:
                self._files.drop()


def feed(fd: int, span: Span, sink: Callable[[memoryview], None]) -> None:
    """Call `sink` with the bytes of a span of a file, through one buffer."""
    buffer = memoryview(bytearray(min(PIECE, len(span))))
    start = span.start
    while start < span.stop:
        done = os.preadv(fd, [buffer[: span.stop - start]], start)
        if not done:
            raise StoreBroken("the file ends early")
        sink(buffer[:done])
        start += done


def promote(files: PartFiles, chunk_map: ChunkMap | None) -> None:
    """Give a partial blob whose chunks are all there the name of a complete one. Under `Shelf.alone`."""
    shelf, info, layout = files.shelf, files.info, files.shelf.layout
    if shelf.has(info):
        files.table.set_committed()
        if os.path.samestat(os.fstat(files.fd), layout.blob(info.digest).stat()):
            layout.part_hold(info.digest).unlink(missing_ok=True)  # who committed it died before this
        else:  # it came another way meanwhile
            with files.alone():
                files.drop()
        return
    shelf.enter(info.digest, info.size, charge(info.size), RowState.PENDING)
    shelf.fsync.make_directory(layout.blob(info.digest).parent)
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
