"""The index: which blob is of least use, what each takes, and what manifests say of sizes.

SQLite in write-ahead mode, shared by all processes of a store. It is worth nothing that cannot be found again: a
fault of it never fails a read or a write of a blob, and a damaged one is put away and rebuilt (`rebuild`).
All methods block: in threads.
"""

from __future__ import annotations

import enum
import math
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.cache import SaidSize
from registry_mesh.stores.disk.rank import APART, risen

T = TypeVar("T")
_Values = tuple[bytes, int, int, int, float]

_VERSION: Final = 3
"""Of the schema. A database of another one begins anew: what is in it can be found again."""

_SCHEMA: Final = (
    """CREATE TABLE blobs (
    key BLOB PRIMARY KEY, size INTEGER NOT NULL, held INTEGER NOT NULL, state INTEGER NOT NULL,
    rank REAL NOT NULL, counted REAL NOT NULL
) WITHOUT ROWID""",
    "CREATE INDEX by_rank ON blobs (rank)",
    "CREATE INDEX unsettled ON blobs (state) WHERE state != 1",
    "CREATE TABLE past (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, rank REAL NOT NULL)",
    "CREATE TABLE places (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, place TEXT NOT NULL)",
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)
_ADDED: Final = (
    "DROP TABLE IF EXISTS sizes",  # what manifests said, kept as if it were true
    """CREATE TABLE IF NOT EXISTS said (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, manifest BLOB NOT NULL
)""",
    "CREATE TABLE IF NOT EXISTS namers (id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE, whole INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS names (
    number INTEGER PRIMARY KEY, namer INTEGER NOT NULL, key BLOB NOT NULL, UNIQUE (key, namer)
)""",
    "CREATE TABLE IF NOT EXISTS pins (key BLOB PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS evicted (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, bytes INTEGER NOT NULL, at REAL NOT NULL
)""",
)
"""Tables that came later: a database of before gets them, and a program of before passes over them."""

_TABLES: Final = ("blobs", "past", "said", "places", "facts", "namers", "names", "pins", "evicted")
_COLUMNS: Final = "key, size, held, state, rank"
_WAIT: Final = 10.0
_CACHE_KIB: Final = 8_192
_BATCH: Final = 1_000
SIZES_KEPT: Final = 2_000_000

PAST_KEPT: Final = 100_000
"""Blobs gone whose rank is remembered for when they come back."""


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
    """A blob's row. `held` is in bytes, as the ledger counts them; `rank` as in `stores.disk.rank`."""

    digest: Digest
    size: int
    held: int
    state: RowState
    rank: float = 0.0


class Index:
    """The database at `path`. `broken` says that it is to be put away and made anew. Of rows that were
    dropped, the ranks of the last `past` are remembered."""

    def __init__(self, path: Path, past: int = PAST_KEPT) -> None:
        self._past = past
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
        """Close the database."""
        with self._lock:
            self._connection.close()

    def fact(self, name: str) -> int:
        """A number kept under a name; 0 where there is none."""
        return self.ask(0, lambda db: _one(db, "SELECT value FROM facts WHERE name = ?", name))

    def state_fact(self, name: str, value: int) -> None:
        """Keep a number under a name."""
        self.change(lambda db: db.execute("REPLACE INTO facts VALUES (?, ?)", (name, value)))

    def add_fact(self, name: str, value: int) -> None:
        """Add to the number under a name."""
        change = (
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
        )
        self.change(lambda db: db.execute(change, (name, value)))

    def put(self, row: Row, now: float) -> None:
        """Set the row, but for the rank of one that is there: a new one is used `now`, as is one that comes back."""
        change = (
            "INSERT INTO blobs VALUES (?1, ?2, ?3, ?4, risen((SELECT rank FROM past WHERE key = ?1), ?5), ?5)"
            " ON CONFLICT (key) DO UPDATE SET size = excluded.size, held = excluded.held, state = excluded.state"
        )
        values = (key_of(row.digest), row.size, row.held, row.state, now)
        self.change(lambda db: db.execute(change, values))

    def put_new(self, rows: Iterable[Row]) -> None:
        """Set the rows of blobs that have none, as they stand."""
        values = [(key_of(row.digest), row.size, row.held, row.state, row.rank) for row in rows]
        change = "INSERT OR IGNORE INTO blobs VALUES (?, ?, ?, ?, ?, 0)"
        self.change(lambda db: db.executemany(change, values))

    def forget(self, digest: Digest) -> None:
        """Drop the row; its rank is remembered, as one of the last few."""
        key = (key_of(digest),)
        remember = "REPLACE INTO past (key, rank) SELECT key, rank FROM blobs WHERE key = ?"

        def forget(db: sqlite3.Connection) -> None:
            if db.execute(remember, key).rowcount:
                db.execute(
                    "DELETE FROM past WHERE number <= (SELECT max(number) FROM past) - ?", (self._past,)
                )
                db.execute("DELETE FROM blobs WHERE key = ?", key)

        self.change(forget)

    def note_evicted(self, digest: Digest, size: int, at: float) -> None:
        """Bytes of the blob were evicted, at `at` (seconds since the epoch); the oldest are forgotten."""
        note = (
            "INSERT INTO evicted (key, bytes, at) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (key) DO UPDATE SET bytes = bytes + ?2, at = ?3"
        )

        def evicted(db: sqlite3.Connection) -> None:
            db.execute(note, (key_of(digest), size, at))
            db.execute(
                "DELETE FROM evicted WHERE number <= (SELECT max(number) FROM evicted) - ?", (self._past,)
            )

        self.change(evicted)

    def came_back(self, digest: Digest, since: float) -> int:
        """How many of the blob's bytes were evicted after `since`, now that it is whole; that is told once."""
        query = "SELECT bytes, at FROM evicted WHERE key = ?"
        found = self.ask(None, lambda db: db.execute(query, (key_of(digest),)).fetchone())
        if found is None:
            return 0
        self.change(lambda db: db.execute("DELETE FROM evicted WHERE key = ?", (key_of(digest),)))
        size, at = found
        return int(size) if at > since else 0

    def row(self, digest: Digest) -> Row | None:
        """The row of a blob; None where there is none."""
        query = f"SELECT {_COLUMNS} FROM blobs WHERE key = ?"
        nothing: _Values | None = None
        found = self.ask(nothing, lambda db: db.execute(query, (key_of(digest),)).fetchone())
        return _row(found) if found else None

    def touch(self, keys: Sequence[bytes], now: float) -> None:
        """The blobs with these keys are used `now` (turnovers), whichever process saw it: see `APART`."""
        for start in range(0, len(keys), _BATCH):
            self._touch(keys[start : start + _BATCH], now)

    def _touch(self, keys: Sequence[bytes], now: float) -> None:
        change = (
            "UPDATE blobs SET rank = risen(rank, ?1), counted = ?1 WHERE key = ?2 AND abs(?1 - counted) >= ?3"
        )
        values = [(now, key, APART) for key in keys]
        self.change(lambda db: db.executemany(change, values))

    def least_used(self, limit: int, after: Row | None = None) -> list[Row]:
        """Rows by their rank, the lowest first; on from `after`. None of those that are pinned."""
        query = (
            f"SELECT {_COLUMNS} FROM blobs WHERE (rank, key) > (?, ?) AND state != 2"
            " AND key NOT IN (SELECT key FROM pins) ORDER BY rank, key LIMIT ?"
        )
        rank, key = (after.rank, key_of(after.digest)) if after else (-math.inf, b"")
        return self._rows(query, rank, key, limit)

    def unsettled(self, state: RowState) -> list[Row]:
        """Rows with a state other than COMPLETE."""
        return self._rows(f"SELECT {_COLUMNS} FROM blobs WHERE state != 1 AND state = ?", state)

    def _rows(self, query: str, *values: object) -> list[Row]:
        nothing: list[_Values] = []
        return [_row(found) for found in self.ask(nothing, lambda db: db.execute(query, values).fetchall())]

    def bound_partial(self) -> None:
        """Say of every partial row that the ledger counts its `held`."""
        change = "UPDATE blobs SET state = 3 WHERE state != 1 AND state = 0"
        self.change(lambda db: db.execute(change))

    def held(self) -> int:
        """What all rows say is held."""
        return self.ask(0, lambda db: _one(db, "SELECT total(held) FROM blobs"))

    def count(self) -> int:
        """How many blobs have a row."""
        return self.ask(0, lambda db: _one(db, "SELECT count(*) FROM blobs"))

    def note_sizes(self, manifest: Digest, sizes: Sequence[tuple[Digest, int]]) -> None:
        """Remember what `manifest` says; the oldest beyond `SIZES_KEPT` are forgotten. A size that no file has is not
        worth it."""
        values = [
            (key_of(digest), size, str(manifest).encode()) for digest, size in sizes if 0 <= size < 1 << 62
        ]

        def note(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO said (key, size, manifest) VALUES (?, ?, ?)", values)
            db.execute("DELETE FROM said WHERE number <= (SELECT max(number) FROM said) - ?", (SIZES_KEPT,))

        self.change(note)

    def said_size(self, digest: Digest) -> SaidSize | None:
        """The size that a manifest stated for the digest; None where none did."""
        query = "SELECT size, manifest FROM said WHERE key = ?"
        found = self.ask(None, lambda db: db.execute(query, (key_of(digest),)).fetchone())
        return SaidSize(int(found[0]), Digest.parse(bytes(found[1]).decode())) if found else None

    def forget_said(self, digest: Digest) -> None:
        """Forget that size: it was wrong."""
        self.change(lambda db: db.execute("DELETE FROM said WHERE key = ?", (key_of(digest),)))

    def note_place(self, digest: Digest, place: str) -> None:
        """Remember; the oldest beyond `SIZES_KEPT` are forgotten."""
        values = (key_of(digest), place)

        def note(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO places (key, place) VALUES (?, ?)", values)
            db.execute(
                "DELETE FROM places WHERE number <= (SELECT max(number) FROM places) - ?", (SIZES_KEPT,)
            )

        self.change(note)

    def place(self, digest: Digest) -> str | None:
        """Where the blob was said to come from; None where nobody said."""
        query = "SELECT place FROM places WHERE key = ?"
        found = self.ask(None, lambda db: db.execute(query, (key_of(digest),)).fetchone())
        return found[0] if found else None

    def change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Make a change whole or not at all; a fault of the database makes it not at all."""

        def all_or_nothing(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            try:
                change(db)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

        self.ask(None, all_or_nothing)

    def ask(self, otherwise: T, ask: Callable[[sqlite3.Connection], T]) -> T:
        """What `ask` gives; `otherwise` where the database is at fault."""
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


def _row(found: _Values) -> Row:
    key, size, held, state, rank = found
    return Row(_digest_of(key), size, held, RowState(state), rank)


def _one(db: sqlite3.Connection, query: str, *values: object) -> int:
    found = db.execute(query, values).fetchone()
    return int(found[0]) if found else 0


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA wal_autocheckpoint = 500")  # pages of 4 KiB: see `overhead.LOG`
        connection.execute("PRAGMA journal_size_limit = 2097152")
        connection.create_function("risen", 2, risen, deterministic=True)
        if not _is_current(connection):
            _begin_anew(connection)
        for statement in _ADDED:
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_current(connection: sqlite3.Connection) -> bool:
    return _one(connection, "PRAGMA user_version") == _VERSION


def _begin_anew(connection: sqlite3.Connection) -> None:
    """In one step, for processes that start together."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_current(connection):  # else another process has been here
            for table in _TABLES:
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in (*_SCHEMA, *_ADDED):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _put_away(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
