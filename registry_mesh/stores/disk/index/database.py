"""The file that the index lies in: SQLite in write-ahead mode, shared by all processes of a store.

It is worth nothing that cannot be found again: a fault of it never fails a read or a write of a blob, and a damaged
one is put away and rebuilt (`rebuild`). All methods block: in threads.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from registry_mesh.oci.digest import Digest
from registry_mesh.stores.disk.index.rank import risen

T = TypeVar("T")

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
    "CREATE TABLE IF NOT EXISTS uses (key BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
)
"""Tables that came later: a database of before gets them, and a program of before passes over them."""

_TABLES: Final = ("blobs", "past", "said", "places", "facts", "namers", "names", "pins", "evicted", "uses")
_WAIT: Final = 10.0
_CACHE_KIB: Final = 8_192


class Database:
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
        """Close the database."""
        with self._lock:
            self._connection.close()

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


def one(db: sqlite3.Connection, query: str, *values: object) -> int:
    """The first number of the first row found; 0 where none is."""
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
    return one(connection, "PRAGMA user_version") == _VERSION


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
