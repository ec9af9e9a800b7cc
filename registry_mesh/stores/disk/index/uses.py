"""When each blob was used last, by the clock on the wall, for people: what is evicted is decided by ranks.

All functions block: in threads. A fault of the database makes an answer empty, as where nothing was noted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.holdings import Uses
from registry_mesh.stores.disk.index.database import Database, key_of, one

_BEGAN: Final = "uses began"
_NOTE: Final = "INSERT INTO uses VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET at = max(at, excluded.at)"


def note(index: Database, keys: Iterable[bytes], at: float) -> None:
    """The blobs with these keys are used at `at`, in seconds since the epoch."""
    values = [(key, int(at)) for key in keys]

    def change(db: sqlite3.Connection) -> None:
        db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (_BEGAN, int(at)))
        db.executemany(_NOTE, values)

    index.change(change)


def last(index: Database, digests: Collection[Digest]) -> Uses:
    """What is noted of `digests`."""

    def ask(db: sqlite3.Connection) -> Uses:
        found: dict[Digest, float] = {}
        for digest in digests:
            if at := one(db, "SELECT at FROM uses WHERE key = ?", key_of(digest)):
                found[digest] = float(at)
        return Uses(float(one(db, "SELECT value FROM facts WHERE name = ?", _BEGAN)), found)

    return index.ask(Uses(), ask)
