"""Which blobs were evicted lately: what of them comes back was evicted too early. All functions block: in threads."""

from __future__ import annotations

import sqlite3
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.stores.disk.index.accounts import IDLE
from registry_mesh.stores.disk.index.database import Database, key_of

KEPT: Final = 100_000
"""Blobs; the oldest beyond are forgotten."""


def note(index: Database, digest: Digest, size: int, at: float, idle: int = 0) -> None:
    """Bytes of the blob were evicted, at `at` (seconds since the epoch); the oldest are forgotten. `idle`: seconds
    since it was used; 0 where that is not known."""
    statement = (
        "INSERT INTO evicted (key, bytes, at) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (key) DO UPDATE SET bytes = bytes + ?2, at = ?3"
    )

    def change(db: sqlite3.Connection) -> None:
        db.execute(statement, (key_of(digest), size, at))
        if idle:
            db.execute("REPLACE INTO facts VALUES (?, ?)", (IDLE, idle))
        db.execute("DELETE FROM evicted WHERE number <= (SELECT max(number) FROM evicted) - ?", (KEPT,))

    index.change(change)


def came_back(index: Database, digest: Digest, since: float) -> int:
    """How many of the blob's bytes were evicted after `since`, now that it is whole; that is told once."""
    query = "SELECT bytes, at FROM evicted WHERE key = ?"
    found = index.ask(None, lambda db: db.execute(query, (key_of(digest),)).fetchone())
    if found is None:
        return 0
    index.change(lambda db: db.execute("DELETE FROM evicted WHERE key = ?", (key_of(digest),)))
    size, at = found
    return int(size) if at > since else 0
