"""What was said of blobs that need not be there: their sizes, by manifests, and the places that they came from.

All functions block: in threads. A fault of the database makes an answer None, as where nobody said anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.cache import SaidSize
from registry_mesh.stores.disk.index.database import Database, key_of

KEPT: Final = 2_000_000
"""Sizes, and places; the oldest beyond are forgotten."""


def note_sizes(index: Database, manifest: Digest, sizes: Sequence[tuple[Digest, int]]) -> None:
    """Remember what `manifest` says; the oldest beyond `KEPT` are forgotten. A size that no file has is not
    worth it."""
    values = [(key_of(digest), size, str(manifest).encode()) for digest, size in sizes if 0 <= size < 1 << 62]

    def note(db: sqlite3.Connection) -> None:
        db.executemany("INSERT OR REPLACE INTO said (key, size, manifest) VALUES (?, ?, ?)", values)
        db.execute("DELETE FROM said WHERE number <= (SELECT max(number) FROM said) - ?", (KEPT,))

    index.change(note)


def size(index: Database, digest: Digest) -> SaidSize | None:
    """The size that a manifest stated for the digest; None where none did."""
    query = "SELECT size, manifest FROM said WHERE key = ?"
    found = index.ask(None, lambda db: db.execute(query, (key_of(digest),)).fetchone())
    return SaidSize(int(found[0]), Digest.parse(bytes(found[1]).decode())) if found else None


def forget_size(index: Database, digest: Digest) -> None:
    """Forget that size: it was wrong."""
    index.change(lambda db: db.execute("DELETE FROM said WHERE key = ?", (key_of(digest),)))


def note_place(index: Database, digest: Digest, place: str) -> None:
    """Remember; the oldest beyond `KEPT` are forgotten."""
    values = (key_of(digest), place)

    def note(db: sqlite3.Connection) -> None:
        db.execute("INSERT OR REPLACE INTO places (key, place) VALUES (?, ?)", values)
        db.execute("DELETE FROM places WHERE number <= (SELECT max(number) FROM places) - ?", (KEPT,))

    index.change(note)


def place(index: Database, digest: Digest) -> str | None:
    """Where the blob was said to come from; None where nobody said."""
    query = "SELECT place FROM places WHERE key = ?"
    found = index.ask(None, lambda db: db.execute(query, (key_of(digest),)).fetchone())
    return found[0] if found else None
