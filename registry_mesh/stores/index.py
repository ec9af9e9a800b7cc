"""The index: which blob was used least recently, what each takes, and sizes that manifests told.

SQLite in write-ahead mode, shared by all processes of a store. It is worth nothing that cannot be found again: a
fault of it never fails a read or a write of a blob, and a damaged one is put away and rebuilt (`rebuild`).
All methods block: in threads.
"""

from __future__ import annotations

import enum
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from registry_mesh.oci.digest import Digest

T = TypeVar("T")
_Values = tuple[bytes, int, int, int, int]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blobs (
    key BLOB PRIMARY KEY, size INTEGER NOT NULL, held INTEGER NOT NULL, atime INTEGER NOT NULL, state INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_atime ON blobs (atime);
CREATE INDEX IF NOT EXISTS unsettled ON blobs (state) WHERE state != 1;
CREATE TABLE IF NOT EXISTS sizes (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_WAIT: Final = 10.0
_CACHE_KIB: Final = 8_192
_BATCH: Final = 1_000
SIZES_KEPT: Final = 2_000_000


class RowState(enum.IntEnum):
    """Of a blob's row. What it takes is known exactly only where it is COMPLETE."""

    PARTIAL = 0  # `held` is never less than what is reserved for it
    COMPLETE = 1
    PENDING = 2  # being placed or removed: after a kill -9, a look at the disk says which
    BOUNDED = (
        3  # partial, and the ledger counts `held` of it (since the last count) instead of what is reserved
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A blob's row. `held` is in bytes, as the ledger counts them; `atime` in ms."""

    digest: Digest
    size: int
    held: int
    atime: int
    state: RowState


class Index:
    """The database at `path`. `broken` says that it is to be put away and made anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.broken = False
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = _connect(path)
        except sqlite3.DatabaseError:
            _put_away(path)
            self._connection = _connect(path)

    def renew(self) -> None:
        """Begin again with an empty database where this one is damaged or was removed."""
        with self._lock:
            self._connection.close()
            if self.broken:
                _put_away(self._path)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _connect(self._path)
            self.broken = False

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def fact(self, name: str) -> int:
        """A number kept under a name; 0 where there is none."""
        return self._try(0, lambda db: _one(db, "SELECT value FROM facts WHERE name = ?", name))

    def state_fact(self, name: str, value: int) -> None:
        self._change(lambda db: db.execute("REPLACE INTO facts VALUES (?, ?)", (name, value)))

    def put(self, rows: Iterable[Row]) -> None:
        """Set the rows; what was said of their blobs before is forgotten."""
        values = [_values(row) for row in rows]
        self._change(lambda db: db.executemany("REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)", values))

    def put_new(self, rows: Iterable[Row]) -> None:
        """Set the rows of blobs that have none."""
        values = [_values(row) for row in rows]
        self._change(lambda db: db.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?, ?, ?, ?)", values))

    def forget(self, digest: Digest) -> None:
        self._change(lambda db: db.execute("DELETE FROM blobs WHERE key = ?", (key_of(digest),)))

    def row(self, digest: Digest) -> Row | None:
        query = "SELECT * FROM blobs WHERE key = ?"
        nothing: _Values | None = None
        found = self._try(nothing, lambda db: db.execute(query, (key_of(digest),)).fetchone())
        return _row(found) if found else None

    def touch(self, atimes: Sequence[tuple[int, bytes]]) -> None:
        """Set the times of use (ms) of the blobs with these keys."""
        for start in range(0, len(atimes), _BATCH):
            self._touch(atimes[start : start + _BATCH])

    def _touch(self, atimes: Sequence[tuple[int, bytes]]) -> None:
        self._change(lambda db: db.executemany("UPDATE blobs SET atime = ? WHERE key = ?", atimes))

    def least_used(self, limit: int) -> list[Row]:
        """Rows by their time of use, the longest ago first."""
        return self._rows("SELECT * FROM blobs WHERE state != 2 ORDER BY atime LIMIT ?", limit)

    def unsettled(self, state: RowState) -> list[Row]:
        """Rows with a state other than COMPLETE."""
        return self._rows("SELECT * FROM blobs WHERE state != 1 AND state = ?", state)

    def _rows(self, query: str, value: int) -> list[Row]:
        nothing: list[_Values] = []
        return [
            _row(found) for found in self._try(nothing, lambda db: db.execute(query, (value,)).fetchall())
        ]

    def bound_partial(self) -> None:
        """Say of every partial row that the ledger counts its `held`."""
        change = "UPDATE blobs SET state = 3 WHERE state != 1 AND state = 0"
        self._change(lambda db: db.execute(change))

    def held(self) -> int:
        """What all rows say is held."""
        return self._try(0, lambda db: _one(db, "SELECT total(held) FROM blobs"))

    def count(self) -> int:
        return self._try(0, lambda db: _one(db, "SELECT count(*) FROM blobs"))

    def note_sizes(self, sizes: Sequence[tuple[Digest, int]]) -> None:
        """Remember; the oldest beyond `SIZES_KEPT` are forgotten."""
        values = [(key_of(digest), size) for digest, size in sizes]

        def note(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO sizes (key, size) VALUES (?, ?)", values)
            db.execute("DELETE FROM sizes WHERE number <= (SELECT max(number) FROM sizes) - ?", (SIZES_KEPT,))

        self._change(note)

    def size(self, digest: Digest) -> int | None:
        query = "SELECT size FROM sizes WHERE key = ?"
        found = self._try(None, lambda db: db.execute(query, (key_of(digest),)).fetchone())
        return found[0] if found else None

    def _change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        def all_or_nothing(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            try:
                change(db)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

        self._try(None, all_or_nothing)

    def _try(self, otherwise: T, ask: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return ask(self._connection)
            except sqlite3.OperationalError:  # locked for long, disk full, read-only: it may get better
                return otherwise
            except sqlite3.DatabaseError:
                self.broken = True
                return otherwise


def key_of(digest: Digest) -> bytes:
    """32 bytes are a sha256, 64 a sha512."""
    return bytes.fromhex(digest.hex)


def _digest_of(key: bytes) -> Digest:
    return Digest("sha256" if len(key) == 32 else "sha512", key.hex())


def _values(row: Row) -> _Values:
    return key_of(row.digest), row.size, row.held, row.atime, row.state


def _row(found: _Values) -> Row:
    key, size, held, atime, state = found
    return Row(_digest_of(key), size, held, atime, RowState(state))


def _one(db: sqlite3.Connection, query: str, *values: object) -> int:
    found = db.execute(query, values).fetchone()
    return int(found[0]) if found else 0


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _put_away(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
