"""A SQLite file that the processes of a node share."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAUSE: Final = 0.01


@dataclass(frozen=True, slots=True)
class SharedDatabase:
    """`make`: statements that make the tables of `version` where they are not there. `wait`: seconds for which one
    process waits for another."""

    path: str
    make: str
    version: int
    wait: float

    def open(self) -> sqlite3.Connection:
        """A connection for any thread, one at a time; the tables are there. Blocks: for threads. `sqlite3.Error`,
        OSError."""
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        opened = sqlite3.connect(self.path, timeout=self.wait, check_same_thread=False)
        try:
            if opened.execute("PRAGMA user_version").fetchone()[0] < self.version:
                self._keep_a_log(opened)
                opened.executescript(f"{self.make} PRAGMA user_version = {self.version};")
            opened.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            opened.close()
            raise
        return opened

    def _keep_a_log(self, opened: sqlite3.Connection) -> None:
        """Have readers and a writer not wait for each other. SQLite itself does not wait for another process that makes
        the file at the same moment: it fails at once."""
        until = time.monotonic() + self.wait
        while True:
            try:
                opened.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as fault:
                if fault.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
                time.sleep(_PAUSE)
