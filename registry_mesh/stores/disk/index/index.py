"""The index: which blob is of least use, and what each takes. All methods block: in threads."""

from __future__ import annotations

import enum
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.stores.disk.index.database import Database, key_of, one
from registry_mesh.stores.disk.index.rank import APART, SMALL, SMALL_LATER

_Values = tuple[bytes, int, int, int, float]

_COLUMNS: Final = "key, size, held, state, rank"
_LATER: Final = f"{SMALL_LATER} * ({{size}} < {SMALL})"
"""Turnovers by which a blob of that size counts as used later than it was."""
_BATCH: Final = 1_000
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
    """A blob's row. `held` is in bytes, as the ledger counts them; `rank` as in `stores.disk.index.rank`."""

    digest: Digest
    size: int
    held: int
    state: RowState
    rank: float = 0.0


class Index(Database):
    """The rows of a store's blobs. Of those that were dropped, the ranks of the last `past` are remembered."""

    def __init__(self, path: Path, past: int = PAST_KEPT) -> None:
        super().__init__(path)
        self._past = past

    def fact(self, name: str) -> int:
        """A number kept under a name; 0 where there is none."""
        return self.ask(0, lambda db: one(db, "SELECT value FROM facts WHERE name = ?", name))

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
            "INSERT INTO blobs VALUES (?1, ?2, ?3, ?4,"
            f" risen((SELECT rank FROM past WHERE key = ?1), ?5 + {_LATER.format(size='?2')}), ?5)"
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
                db.execute("DELETE FROM uses WHERE key = ?", key)

        self.change(forget)

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
            f"UPDATE blobs SET rank = risen(rank, ?1 + {_LATER.format(size='size')}), counted = ?1"
            " WHERE key = ?2 AND abs(?1 - counted) >= ?3"
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
        return self.ask(0, lambda db: one(db, "SELECT total(held) FROM blobs"))

    def count(self) -> int:
        """How many blobs have a row."""
        return self.ask(0, lambda db: one(db, "SELECT count(*) FROM blobs"))


def _digest_of(key: bytes) -> Digest:
    return Digest("sha256" if len(key) == 32 else "sha512", key.hex())


def _row(found: _Values) -> Row:
    key, size, held, state, rank = found
    return Row(_digest_of(key), size, held, RowState(state), rank)
