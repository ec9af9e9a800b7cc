"""Partial blobs on a disk.

Who may change what, and under which lock:

- A chunk's bytes, state and checksum: who has claimed it (a lock on byte `index` of the hold file, for the open
  file). Setting MISSING: anybody, since it only costs a fetch.
- `reserved`, together with the ledger: under `_alone` (flock on the hold file).
- Names: under `Shelf.alone`.
- An evictor needs the data file for itself; every hold locks it shared while it is open and does not rest.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, chunk_span, count
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import PIECE, FileSlice
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import STATES, ChunkState, Give
from registry_mesh.stores import points
from registry_mesh.stores.checksum import crc32
from registry_mesh.stores.disk.checked import Checked
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.hold_rest import HoldRest
from registry_mesh.stores.disk.locks import lock_lead, lock_range, try_flock, unlock_range
from registry_mesh.stores.disk.looks import PartLooks
from registry_mesh.stores.disk.part_files import PartFiles, promote
from registry_mesh.stores.disk.part_sums import PartSums
from registry_mesh.stores.disk.read_apart import read_apart
from registry_mesh.stores.faults import translated
from registry_mesh.stores.writing import write_all
from registry_mesh.tasks.threads import offload, settle, submit

SYNC_EVERY: Final = 32 << 20
"""Bytes after which written chunks are synced (`DiskFsync.COMMIT`)."""

_CUT: Final = "the file of a partial blob was cut short"


class DiskHold:
    """Implements `ports.partial.Hold`. Each has its own open files: two of one process exclude each other's claims
    as two processes do."""

    def __init__(self, files: PartFiles, looks: PartLooks | None = None) -> None:
        """In a thread. `looks`: what is remembered of former holds."""
        self._files = files
        self._table = files.table
        self.info = files.info
        self._sums = PartSums()
        self._checked = Checked(files, looks)
        self._rest = HoldRest(files)
        self._unsynced: set[int] = set()
        self._marking = threading.Lock()  # the loop marks while a thread syncs
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

    @property
    def doubted(self) -> bool:
        return self._table.doubted

    @doubted.setter
    def doubted(self, doubted: bool) -> None:
        self._table.set_doubted(doubted)

    def state(self, index: int) -> ChunkState:
        state = self._table.state(index)
        return STATES[state] if state < len(STATES) else ChunkState.MISSING

    def states(self) -> bytes:
        return self._table.states()

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
                self._sums.forget(index)
                self._begin_give_back(index)

    def want(self, index: int) -> None:
        self._table.set_wanted(index)

    def take_want(self, chunks: range) -> int | None:
        wanted = self._table.wanted
        if wanted is None or wanted not in chunks:
            return None
        self._table.set_wanted(None)
        return wanted

    async def write(self, offset: int, give: Give, then: Callable[[], None]) -> None:
        with translated(f"writing a part of {self.info.digest}"):
            await offload(self._write_all, offset, give, then)

    def _write_all(self, offset: int, give: Give, then: Callable[[], None]) -> None:
        while data := give():
            self._write(offset, data)
            then()
            self._sync_now_and_then()
            offset += sum(map(len, data))

    def _write(self, offset: int, data: Sequence[bytes | memoryview]) -> None:
        if self._table.committed or self._table.discarded:
            raise StoreBroken("the hold was committed or discarded")
        length = sum(map(len, data))
        if self._files.is_cut_short():  # written to behind its end it would have a hole where chunks are held
            self._discard()
            raise StoreBroken(_CUT)
        if offset + length > self.info.size:
            raise ValueError(f"{offset + length - self.info.size} bytes past the end")
        self._files.reserve(range(offset // CHUNK, count(offset + length)))
        points.reach("hold.write")
        self._files.shelf.room.on_disk(length, lambda: write_all(self._files.fd, list(data), offset))
        self._files.note_mtime()
        self._sums.add(offset, data)
        self._unsynced_bytes += length

    def _sync_now_and_then(self) -> None:
        policy = self._files.shelf.fsync
        if policy is DiskFsync.ALWAYS or (policy is DiskFsync.COMMIT and self._unsynced_bytes >= SYNC_EVERY):
            self._sync()

    def _sync(self) -> None:
        """Chunks that were marked before the sync began are safe after it."""
        with self._marking:
            marked, self._unsynced = self._unsynced, set()
        self._unsynced_bytes = 0
        points.reach("hold.sync")
        os.fdatasync(self._files.fd)
        points.reach("hold.synced")
        for index in marked:
            self._table.set_synced(index, True)

    def mark(self, index: int, state: ChunkState, chunks: int = 1) -> None:
        run = range(index, index + chunks)
        if state is ChunkState.MISSING:
            for each in run:
                self._mark_missing(each)
            return
        states = self._table.states(run.start, run.stop)
        if not any(states):
            self._note_written(run)
        elif 0 in states:
            for each in run:
                self.mark(each, state)
            return
        self._table.set_state(index, state, chunks)

    def _note_written(self, run: range) -> None:
        """What is known of chunks that were missing."""
        self._table.set_crc32(run.start, self._sums.take(run, self.info.size, self._read_sum))
        self._checked.note(run.start, True, len(run))
        if self._files.shelf.fsync is DiskFsync.ALWAYS:
            self._table.set_synced(run.start, True, len(run))
        else:
            with self._marking:
                self._unsynced.update(run)

    def _mark_missing(self, index: int) -> None:
        self._table.set_state(index, ChunkState.MISSING)
        self._table.set_synced(index, False)
        self._checked.note(index, False)
        self._sums.forget(index)
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

    async def feed(self, span: Span, sink: Callable[[memoryview], object]) -> None:
        with translated(f"reading a part of {self.info.digest}"):
            await offload(feed, self._files.fd, span, sink)

    def slice(self, span: Span) -> FileSlice:
        return FileSlice(self._files.fd, span.start, span.stop)

    def checked(self) -> bytes:
        return self._checked.states()

    @property
    def untouched(self) -> bool:
        return self._checked.untouched

    async def check(self, index: int) -> bool:
        if not self._table.state(index):
            return False
        if self._checked.has(index):
            return True
        with translated(f"checking a part of {self.info.digest}"):
            good = await offload(self._read_sum, index) == self._table.crc32(index)
        if good:
            self._checked.note(index, True)
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
            if files.is_cut_short():
                files.end()
                raise StoreBroken(_CUT)
            points.reach("hold.commit_sync")
            shelf.fsync.sync_data(files.fd)
            self._table.set_synced(0, shelf.fsync is not DiskFsync.NEVER, self._table.chunks)
            self._table.set_state(0, ChunkState.PROVEN, self._table.chunks)
            self._unsynced = set()
            if shelf.fsync is not DiskFsync.NEVER:
                self._table.flush()
            promote(files, chunk_map)

    async def discard(self) -> None:
        with translated(f"discarding {self.info.digest}"):
            await offload(self._discard)

    def _discard(self) -> None:
        with self._files.shelf.alone(self.info.digest):
            if not self._table.committed and not self._table.discarded:
                self._files.end()

    def rest(self) -> bool:
        return all(each.done() for each in self._giving_back) and self._rest.begin()

    def wake(self) -> bool:
        return self._rest.end()

    async def close(self) -> None:
        """Give up claims, sync what was marked, drop the files where nothing is held and nobody else has them."""
        for each in self._giving_back:
            with suppress(OSError):
                await settle(each)
        with translated(f"closing the hold of {self.info.digest}"):
            await offload(self._close)

    def _close(self) -> None:
        try:
            if self._rest.close() and not self._table.committed and not self._table.discarded:
                if self._unsynced and self._files.shelf.fsync is not DiskFsync.NEVER:
                    self._sync()
                unlock_range(self._table.fd, 0, self._table.chunks)
                self._files.tidy()
                self._checked.remember()
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


def feed(fd: int, span: Span, sink: Callable[[memoryview], object]) -> None:
    """Call `sink` with the bytes of a span of a file, through one buffer."""
    buffer = memoryview(bytearray(min(PIECE, len(span))))
    start = span.start
    while start < span.stop:
        done = os.preadv(fd, [buffer[: span.stop - start]], start)
        if not done:
            raise StoreBroken("the file ends early")
        sink(buffer[:done])
        start += done
