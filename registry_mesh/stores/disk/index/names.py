"""Which repository names which digest: the index's copy of a relation whose truth lies in records.

All functions block: in threads. A fault of the database makes an answer None, as for a repository that is not known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.stores.disk.index.database import Database, key_of

KEPT: Final = 2_000_000
"""Pairs of a repository and a digest; the oldest beyond are forgotten."""

_FIND_NAMER: Final = "SELECT id, whole FROM namers WHERE place = ?"


def note(index: Database, place: str, digests: Iterable[Digest], *, whole: bool = False) -> None:
    """`place` names `digests`. `whole`: all that records tell of the place is noted by now."""
    keys = [key_of(digest) for digest in digests]

    def change(db: sqlite3.Connection) -> None:
        db.execute("INSERT OR IGNORE INTO namers (place, whole) VALUES (?, 0)", (place,))
        if whole:
            db.execute("UPDATE namers SET whole = 1 WHERE place = ?", (place,))
        ((namer, _),) = db.execute(_FIND_NAMER, (place,)).fetchall()
        db.executemany(
            "INSERT OR REPLACE INTO names (namer, key) VALUES (?, ?)", [(namer, key) for key in keys]
        )
        db.execute("DELETE FROM names WHERE number <= (SELECT max(number) FROM names) - ?", (KEPT,))

    index.change(change)


def has(index: Database, place: str, digest: Digest) -> bool | None:
    """Whether `place` names `digest`; None where records must be asked first."""

    def ask(db: sqlite3.Connection) -> bool | None:
        found = db.execute(_FIND_NAMER, (place,)).fetchone()
        if found is None:
            return None
        query = "SELECT 1 FROM names WHERE key = ? AND namer = ?"
        named = db.execute(query, (key_of(digest), found[0])).fetchone() is not None
        return True if named else False if found[1] else None

    return index.ask(None, ask)
