"""A SQLite file that is made while others write into it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from registry_mesh.tasks.shared_database import SharedDatabase

MAKE = "CREATE TABLE IF NOT EXISTS things (name TEXT);"


def add(path: Path, wait: float) -> list[str]:
    with closing(SharedDatabase(str(path), MAKE, 1, wait).open()) as opened, opened:
        opened.execute("INSERT INTO things VALUES ('one')")
        return [row[0] for row in opened.execute("SELECT name FROM things")]


def test_one_that_is_made_by_another_at_the_same_moment_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ends = threading.Timer(0.1, lambda: other.execute("COMMIT"))
    ends.start()
    assert add(tmp_path / "db", wait=60) == ["one"]
    ends.join()
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_one_that_stays_locked_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        add(tmp_path / "db", wait=0.05)
    other.close()
