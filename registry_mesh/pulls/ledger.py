"""The file of pulls: SQLite, a row for each caller, thing and day. All processes of a node write into it.

Texts stand once, and rows point at them: a day of 100,000 rows takes some 5 MB. A row that changed since it was last
passed on to a parent is marked, so that a parent that was away hears of it later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.pulls import Pull
from registry_mesh.tasks.shared_database import SharedDatabase

_WAIT: Final = 20.0
"""Seconds for which a write waits for those of other processes."""
_VERSION: Final = 1
_MAKE: Final = """
CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS pulls (
  day TEXT NOT NULL, site INTEGER NOT NULL, registry INTEGER NOT NULL, repository INTEGER NOT NULL,
  kind INTEGER NOT NULL, digest INTEGER NOT NULL, tag INTEGER NOT NULL, who INTEGER NOT NULL,
  pulls INTEGER NOT NULL, bytes INTEGER NOT NULL, fresh INTEGER NOT NULL,
  PRIMARY KEY (day, site, registry, repository, kind, digest, tag, who)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fresh ON pulls (fresh) WHERE fresh = 1;
"""
_KEYS: Final = ("site", "registry", "repository", "kind", "digest", "tag", "who")
_TEXTS: Final = ", ".join(f"(SELECT text FROM texts WHERE id = pulls.{key}) AS {key}_" for key in _KEYS)
_COLUMNS: Final = f"day, {_TEXTS}, pulls, bytes"
_CONFLICT: Final = "ON CONFLICT (day, site, registry, repository, kind, digest, tag, who) DO UPDATE SET "
_ADD: Final = _CONFLICT + "pulls = pulls + excluded.pulls, bytes = bytes + excluded.bytes, fresh = 1"
_REPLACE: Final = (
    _CONFLICT
    + "pulls = excluded.pulls, bytes = excluded.bytes, fresh = 1 "
    + "WHERE pulls <> excluded.pulls OR bytes <> excluded.bytes"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which records are wanted; what is empty does not matter. `reference` is a tag or a digest."""

    since: str = ""
    registry: str = ""
    repository: str = ""
    reference: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class PullCount:
    """How often a manifest was pulled by one tag, or by its digest (`tag` is empty), and its newest day."""

    registry: str
    repository: str
    tag: str
    digest: str
    pulls: int
    day: str


class Ledger:
    """Blocks: to be called in threads. Raises `StoreBroken`."""

    def __init__(self, path: str) -> None:
        self._database = SharedDatabase(path, _MAKE, _VERSION, _WAIT)

    def add(self, pulls: Sequence[Pull]) -> None:
        """Add what was counted here since it was last added."""
        self._write(pulls, _ADD)

    def replace(self, pulls: Sequence[Pull]) -> None:
        """Note what others counted, in full."""
        self._write(pulls, _REPLACE)

    def find(self, asked: Asked) -> list[Pull]:
        """The records that are wanted, the newest day first. Those of a tag are also those of what it pointed at."""
        where, values = _conditions(asked)
        with self._opened() as opened:
            rows = opened.execute(f"SELECT {_COLUMNS} FROM pulls {where} ORDER BY day DESC", values)
            return [Pull(*row) for row in rows]

    def last_days(self, but: Sequence[str] = ()) -> dict[tuple[str, str, str, str], str]:
        """The newest day of each registry, repository, tag and manifest's digest that was ever pulled by others than
        the callers `but`."""
        marks = ", ".join("?" * len(but))
        with self._opened() as opened:
            rows = opened.execute(
                f"SELECT {_TEXTS}, max(day) FROM pulls WHERE kind = (SELECT id FROM texts WHERE text = 'manifest') "
                f"AND who NOT IN (SELECT id FROM texts WHERE text IN ({marks})) "
                "GROUP BY registry, repository, tag, digest",
                tuple(but),
            )
            return {(row[1], row[2], row[5], row[4]): row[7] for row in rows}

    def counts(self, since: str) -> list[PullCount]:
        """Pulls of manifests since a day. What nodes below say adds up to any number, and one beyond 64 bits, which
        `sum` refuses, is the largest."""
        with self._opened() as opened:
            rows = opened.execute(
                f"SELECT {_TEXTS}, CAST(total(pulls) AS INTEGER), max(day) FROM pulls WHERE day >= ? "
                "AND kind = (SELECT id FROM texts WHERE text = 'manifest') "
                "GROUP BY registry, repository, tag, digest",
                (since,),
            )
            return [PullCount(row[1], row[2], row[5], row[4], row[7], row[8]) for row in rows]

    def began(self) -> str:
        """The oldest day of all records; empty where there are none."""
        with self._opened() as opened:
            return opened.execute("SELECT min(day) FROM pulls").fetchone()[0] or ""

    def fresh(self, registry: str, limit: int) -> list[Pull]:
        """Records of a registry that no parent has heard of as they are now."""
        with self._opened() as opened:
            rows = opened.execute(
                f"SELECT {_COLUMNS} FROM pulls WHERE fresh = 1 "
                "AND registry = (SELECT id FROM texts WHERE text = ?) LIMIT ?",
                (registry, limit),
            )
            return [Pull(*row) for row in rows]

    def passed_on(self, pulls: Sequence[Pull]) -> None:
        """A parent has taken them: those that have not changed meanwhile are not fresh."""
        with self._opened() as opened, opened:
            opened.executemany(
                "UPDATE pulls SET fresh = 0 WHERE day = ? AND "
                + " AND ".join(f"{key} = (SELECT id FROM texts WHERE text = ?)" for key in _KEYS)
                + " AND pulls = ? AND bytes = ?",
                [_values(pull) for pull in pulls],
            )

    def forget(self, before: str) -> int:
        """Forget days before `before`, and texts that nothing names any more. Returns how many records went."""
        with self._opened() as opened, opened:
            gone = opened.execute("DELETE FROM pulls WHERE day < ?", (before,)).rowcount
            if gone:
                named = " UNION ".join(f"SELECT {key} FROM pulls" for key in _KEYS)
                opened.execute(f"DELETE FROM texts WHERE id NOT IN ({named})")
            return gone

    def _write(self, pulls: Sequence[Pull], conflict: str) -> None:
        texts = {text for pull in pulls for text in _values(pull)[1:8]}
        ids = ", ".join(["(SELECT id FROM texts WHERE text = ?)"] * len(_KEYS))
        with self._opened() as opened, opened:
            opened.execute("BEGIN IMMEDIATE")
            opened.executemany("INSERT OR IGNORE INTO texts (text) VALUES (?)", [(text,) for text in texts])
            opened.executemany(
                f"INSERT INTO pulls VALUES (?, {ids}, ?, ?, 1) {conflict}",
                [_values(pull) for pull in pulls],
            )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._database.open()) as opened:
                yield opened
        except (sqlite3.Error, OSError) as fault:
            raise StoreBroken(f"{self._database.path}: {fault}") from None


def _values(pull: Pull) -> tuple[str | int, ...]:
    return (
        pull.day,
        pull.site,
        pull.registry,
        pull.repository,
        pull.kind,
        pull.digest,
        pull.tag,
        pull.who,
        pull.pulls,
        pull.bytes,
    )


def _conditions(asked: Asked) -> tuple[str, list[str]]:
    """The WHERE clause, and what stands for its question marks."""
    parts, values = ["day >= ?"], [asked.since]
    is_text = "{} = (SELECT id FROM texts WHERE text = ?)"
    for key in ("registry", "repository", "who"):
        if value := getattr(asked, key):
            parts.append(is_text.format(key))
            values.append(value)
    if ":" in asked.reference:
        parts.append(is_text.format("digest"))
        values.append(asked.reference)
    elif asked.reference:
        repository = is_text.format("repository")
        pointed = f"SELECT digest FROM pulls WHERE {is_text.format('tag')} AND {repository}"
        parts.append(f"digest IN ({pointed})")
        values += [asked.reference, asked.repository]
    return "WHERE " + " AND ".join(parts), values
