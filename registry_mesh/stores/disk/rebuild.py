"""What a store does when it starts: find what died left behind, count, and make the index anew where it is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from registry_mesh.oci.digest import ALGORITHMS, Digest
from registry_mesh.stores.boot import boot_bytes
from registry_mesh.stores.disk import temporary
from registry_mesh.stores.disk.hold_file import HoldFileInvalid, counted
from registry_mesh.stores.disk.index.index import Row, RowState
from registry_mesh.stores.disk.index.rank import rank_by_age
from registry_mesh.stores.disk.layout import CHUNKS, HOLD, entries
from registry_mesh.stores.disk.locks import try_locked
from registry_mesh.stores.disk.part_files import open_part
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.space.ledger import charge

_BOOT: Final = "boot"
_CLEAN: Final = "clean"
BUILT: Final = "built"
"""The fact that the index knows every blob."""

_BATCH: Final = 500


def recover(shelf: Shelf) -> None:
    """By the first process of a store, before it serves; in seconds, however many blobs there are."""
    for _ in temporary.sweep(shelf.layout.tmp):
        pass  # the count that follows does not have them
    index, ledger = shelf.index, shelf.room.ledger
    crashed = index.fact(_BOOT) not in (0, _boot()) and not index.fact(_CLEAN)
    index.state_fact(_BOOT, _boot())
    index.state_fact(_CLEAN, 0)
    if (
        crashed
    ):  # the machine went down: the index may lack its last rows, the ledger is what the disk had of it
        index.state_fact(BUILT, 0)
        ledger.forget()
    if not index.fact(BUILT):
        if not _is_empty(shelf):
            return  # the ledger says what it said last, if that is known; `rebuild` counts
        index.state_fact(BUILT, 1)
    for row in index.unsettled(RowState.PENDING):
        resolve_pending(shelf, row)
    index.bound_partial()
    ledger.recount(index.held() + _quarantined(shelf))


def note_clean_end(shelf: Shelf) -> None:
    """By the last process of a store: all that is known is written."""
    shelf.index.state_fact(_CLEAN, 1)


def _boot() -> int:
    return int.from_bytes(boot_bytes()[:7], "big")


def resolve_pending(shelf: Shelf, row: Row) -> None:
    """A process died while it placed or removed the blob: see what came of it."""
    shelf.index.forget(row.digest)
    try:
        size = shelf.layout.blob(row.digest).stat().st_size
    except FileNotFoundError:
        for beside in (shelf.layout.blob_chunks(row.digest), shelf.layout.blob_hold(row.digest)):
            beside.unlink(missing_ok=True)
        held = _held_in_part(shelf, row.digest)
        if held is not None:
            shelf.enter(row.digest, row.size, held, RowState.PARTIAL)
        return
    shelf.layout.part_hold(row.digest).unlink(missing_ok=True)
    shelf.enter_complete(row.digest, size)


def sweep_orphans(shelf: Shelf) -> None:
    """By any process that starts: remove what died while others live."""
    for room in temporary.sweep(shelf.layout.tmp):
        shelf.room.give(charge(room))


def tidy(shelf: Shelf) -> None:
    """In the background after a start: give back what partial blobs do not take."""
    for state in (RowState.BOUNDED, RowState.PARTIAL):
        for row in shelf.index.unsettled(state):
            with shelf.alone_now(row.digest) as alone:
                if alone and not shelf.layout.blob(row.digest).exists():
                    _tidy(shelf, row)
    for row in shelf.index.unsettled(RowState.PENDING):
        with shelf.alone_now(row.digest) as alone:
            if alone:  # else it is being placed or removed just now
                again = shelf.index.row(row.digest)
                if again is not None and again.state is RowState.PENDING:
                    resolve_pending(shelf, again)


def _tidy(shelf: Shelf, row: Row) -> None:
    files = open_part(shelf, row.digest, None)
    if files is not None:  # else opening has cleared it away
        try:
            files.tidy()
        finally:
            files.close()


def rebuild(shelf: Shelf) -> bool:
    """Make the index anew from what lies on the disk, while the store serves; False where another process does."""
    with try_locked(shelf.layout.run / "locks" / "rebuild") as mine:
        if not mine or shelf.index.fact(BUILT):
            return False
        total, rows = 0, _rows(shelf)
        while batch := list(islice(rows, _BATCH)):
            shelf.index.put_new(batch)
            total += sum(row.held for row in batch)
        shelf.index.state_fact(BUILT, 1)
        if not shelf.room.ledger.counted:
            shelf.room.ledger.recount(total + _quarantined(shelf))
        return True


def _rows(shelf: Shelf) -> Iterator[Row]:
    for algorithm in ALGORITHMS:
        for entry in _files(shelf.layout.blobs / algorithm):
            status = entry.stat()
            digest = Digest(algorithm, entry.name)
            held = charge(status.st_size) + sum(
                charge(_length(path))
                for path in (shelf.layout.blob_chunks(digest), shelf.layout.blob_hold(digest))
            )
            rank = rank_by_age(shelf.clock() - max(status.st_atime, status.st_mtime), status.st_size)
            yield Row(digest, status.st_size, held, RowState.COMPLETE, rank)
        for entry in _files(shelf.layout.partial / algorithm):
            digest, status = Digest(algorithm, entry.name), entry.stat()
            held_in_part = _held_in_part(shelf, digest)
            if held_in_part is not None:
                rank = rank_by_age(shelf.clock() - status.st_mtime, status.st_size)
                yield Row(digest, status.st_size, held_in_part, RowState.PARTIAL, rank)


def _held_in_part(shelf: Shelf, digest: Digest) -> int | None:
    """What a partial blob takes at most: blocks of its data, or what is reserved."""
    try:
        table = shelf.layout.part_hold(digest).read_bytes()
        blocks = shelf.layout.part(digest).stat().st_blocks * 512
        return max(counted(table), charge(len(table)) + blocks)
    except (FileNotFoundError, HoldFileInvalid):
        return None


def _files(directory: Path) -> Iterator[os.DirEntry[str]]:
    for board in entries(directory):
        for entry in entries(Path(board.path)):
            if not entry.name.endswith((HOLD, CHUNKS)):
                yield entry


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_empty(shelf: Shelf) -> bool:
    places = (shelf.layout.blobs, shelf.layout.partial, shelf.layout.quarantine)
    return not any(next(entries(place), None) for place in places)


def _quarantined(shelf: Shelf) -> int:
    return sum(charge(entry.stat().st_size) for entry in entries(shelf.layout.quarantine))
