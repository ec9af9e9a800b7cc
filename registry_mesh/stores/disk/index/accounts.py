"""What the bytes of a store are of: pinned and other whole blobs, and blobs in part. Blocks: in threads."""

from __future__ import annotations

import sqlite3
from typing import Final

from registry_mesh.ports.holdings import StoreAccount
from registry_mesh.stores.disk.index.database import Database, one
from registry_mesh.stores.disk.index.index import RowState

IDLE: Final = "idle of evicted"
"""The fact that says for how many seconds what was last evicted had not been used."""
_SUMS: Final = "SELECT state = ?, key IN (SELECT key FROM pins), total(held) FROM blobs GROUP BY 1, 2"


def account(index: Database) -> StoreAccount:
    """See `Holdings.account`; all zero where the database is at fault."""

    def ask(db: sqlite3.Connection) -> StoreAccount:
        sums = {
            (bool(whole), bool(pinned)): int(held)
            for whole, pinned, held in db.execute(_SUMS, (RowState.COMPLETE,))
        }
        return StoreAccount(
            pinned=sums.get((True, True), 0) + sums.get((False, True), 0),
            whole=sums.get((True, False), 0),
            part=sums.get((False, False), 0),
            evicted_idle=one(db, "SELECT value FROM facts WHERE name = ?", IDLE),
        )

    return index.ask(StoreAccount(), ask)
