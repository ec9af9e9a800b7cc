"""The events that receivers have not taken yet: SQLite, a row for each receiver and event.

All processes of a node write into it. What was added survives the death of any of them. Each receiver has room for so
many events: the oldest makes room for the newest, and is counted as lost. What is about to happen is written down first
(`begin`), so that an event is told although its process dies before it can add it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from registry_mesh.ports.failures import StoreBroken
from registry_mesh.tasks.shared_database import SharedDatabase

_WAIT: Final = 1.0
"""Seconds for which a write waits for others of its process, and then for other processes: a push waits with it."""
_VERSION: Final = 2
_AT_ONCE: Final = 1000
"""What is read at one time of what was about to happen."""
_MAKE: Final = """
CREATE TABLE IF NOT EXISTS waiting (
  id INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL,
  event TEXT NOT NULL, at REAL NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_receiver ON waiting (receiver, id);
CREATE TABLE IF NOT EXISTS receivers (
  receiver TEXT PRIMARY KEY, waiting INTEGER NOT NULL, sent INTEGER NOT NULL, lost INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS begun (
  event TEXT PRIMARY KEY, at REAL NOT NULL, happening BLOB NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event for one receiver. `at` is when it happened, in seconds since the epoch."""

    id: int
    event: str
    at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Begun:
    """What was about to happen at `at`, in seconds since the epoch, and is not known to have."""

    event: str
    at: float
    happening: bytes


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one receiver's events."""

    waiting: int = 0
    sent: int = 0
    lost: int = 0


class Queue:
    """Blocks: to be called in threads, after the process was forked. Raises `StoreBroken`. `limit`: events of one
    receiver."""

    def __init__(self, path: str, limit: int) -> None:
        self._database = SharedDatabase(path, _MAKE, _VERSION, _WAIT)
        self._limit = limit
        self._connection: sqlite3.Connection | None = None
        self._alone = threading.Lock()

    def close(self) -> None:
        """Close the file; what is called after it opens it anew."""
        with self._alone:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def add(self, receivers: Collection[str], event: str, at: float, body: bytes) -> None:
        """Keep an event for each of `receivers`; it is no longer about to happen."""
        with self._opened() as opened, opened:
            opened.execute("BEGIN IMMEDIATE")
            opened.execute("DELETE FROM begun WHERE event = ?", (event,))
            for receiver in receivers:
                opened.execute(
                    "INSERT INTO waiting (receiver, event, at, body) VALUES (?, ?, ?, ?)",
                    (receiver, event, at, body),
                )
                self._count(opened, receiver, waiting=1)
                self._make_room(opened, receiver)

    def begin(self, event: str, at: float, happening: bytes) -> None:
        """Write down what is about to happen."""
        with self._opened() as opened, opened:
            opened.execute("INSERT INTO begun VALUES (?, ?, ?)", (event, at, happening))

    def begun(self, before: float) -> list[Begun]:
        """What was about to happen before a time, the oldest first."""
        with self._opened() as opened:
            rows = opened.execute(
                "SELECT event, at, happening FROM begun WHERE at < ? ORDER BY at LIMIT ?", (before, _AT_ONCE)
            ).fetchall()
        return [Begun(*row) for row in rows]

    def forget(self, event: str) -> None:
        """It has not happened."""
        with self._opened() as opened, opened:
            opened.execute("DELETE FROM begun WHERE event = ?", (event,))

    def first(self, receiver: str) -> Waiting | None:
        """The oldest event of a receiver."""
        with self._opened() as opened:
            row = opened.execute(
                "SELECT id, event, at, body FROM waiting WHERE receiver = ? ORDER BY id LIMIT 1", (receiver,)
            ).fetchone()
        return None if row is None else Waiting(*row)

    def sent(self, receiver: str, waiting: Waiting) -> None:
        """It was taken."""
        self._end(receiver, waiting, sent=1)

    def lost(self, receiver: str, waiting: Waiting) -> None:
        """It is given up."""
        self._end(receiver, waiting, lost=1)

    def counts(self) -> dict[str, Counts]:
        """By receiver."""
        with self._opened() as opened:
            rows = opened.execute("SELECT receiver, waiting, sent, lost FROM receivers")
            return {receiver: Counts(*rest) for receiver, *rest in rows}

    def keep(self, receivers: Collection[str]) -> None:
        """Forget what is for others."""
        with self._opened() as opened, opened:
            known = [row[0] for row in opened.execute("SELECT receiver FROM receivers")]
            for gone in set(known) - set(receivers):
                opened.execute("DELETE FROM waiting WHERE receiver = ?", (gone,))
                opened.execute("DELETE FROM receivers WHERE receiver = ?", (gone,))

    def _end(self, receiver: str, waiting: Waiting, sent: int = 0, lost: int = 0) -> None:
        with self._opened() as opened, opened:
            if opened.execute("DELETE FROM waiting WHERE id = ?", (waiting.id,)).rowcount:
                self._count(opened, receiver, -1, sent, lost)

    def _make_room(self, opened: sqlite3.Connection, receiver: str) -> None:
        (waiting,) = opened.execute(
            "SELECT waiting FROM receivers WHERE receiver = ?", (receiver,)
        ).fetchone()
        more = waiting - self._limit
        if more > 0:
            opened.execute(
                "DELETE FROM waiting WHERE id IN (SELECT id FROM waiting WHERE receiver = ? ORDER BY id LIMIT ?)",
                (receiver, more),
            )
            self._count(opened, receiver, -more, lost=more)

    @staticmethod
    def _count(
        opened: sqlite3.Connection, receiver: str, waiting: int = 0, sent: int = 0, lost: int = 0
    ) -> None:
        opened.execute(
            "INSERT INTO receivers VALUES (?, ?, ?, ?) ON CONFLICT (receiver) DO UPDATE SET "
            "waiting = waiting + excluded.waiting, sent = sent + excluded.sent, lost = lost + excluded.lost",
            (receiver, waiting, sent, lost),
        )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The connection of this process, which stays open: the last to close writes all to the disk and waits."""
        if not self._alone.acquire(timeout=_WAIT):
            raise StoreBroken(f"{self._database.path}: busy for {_WAIT:g} s")
        try:
            if self._connection is None:
                self._connection = self._database.open()
            yield self._connection
        except (sqlite3.Error, OSError) as fault:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            raise StoreBroken(f"{self._database.path}: {fault}") from None
        finally:
            self._alone.release()
