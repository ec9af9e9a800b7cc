"""The access log: one JSON line a request, gathered and written once a second by a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from typing import Final

from registry_mesh.tasks.threads import in_thread

log: Final = logging.getLogger(__name__)

_FLUSH: Final = 1.0
_PLENTY: Final = 16_384
"""Lines that are written before the second is over."""
_TOGETHER: Final = 1024
"""Lines joined at once: a thread that joined all of them would keep the loop from running meanwhile."""
_MOST: Final = 100_000
"""Lines held while the disk does not take them; more are counted and dropped."""


class AccessLog:
    """`path` is a file to append to, `-` for standard output, None for no log."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._fd = -1
        self._lines: list[str] = []
        self._dropped = 0
        self._task: asyncio.Task[None] | None = None
        self._plenty = asyncio.Event()

    def open(self) -> None:
        """Begin; OSError where the file cannot be opened."""
        if self._path is None:
            return
        if self._path == "-":
            self._fd = os.dup(1)
        else:
            self._fd = self._opened()
        self._task = asyncio.get_running_loop().create_task(self._flush_for_ever(), name="access-log")

    def reopen(self) -> None:
        """Go on in the file that has the name now, after the one before was moved away. Lines that are being written
        go to either, whole."""
        if self._task is None or self._path in (None, "-"):
            return
        try:
            new = self._opened()
        except OSError as fault:
            log.error("%s cannot be opened, going on as before: %s", self._path, fault.strerror)
            return
        os.dup2(new, self._fd, inheritable=False)
        os.close(new)

    def _opened(self) -> int:
        assert self._path is not None, "there is a file"
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    async def close(self) -> None:
        """Write what is left."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        self._write(self._take())
        os.close(self._fd)
        self._fd = -1

    @property
    def kept(self) -> bool:
        """Whether lines are kept: no line need be made else."""
        return self._task is not None

    def add(self, line: str) -> None:
        """Keep a line, with its end, until it is written."""
        if self._task is None:
            return
        self._lines.append(line)
        self.look()

    @property
    def quickly(self) -> Callable[[str], object]:
        """`add`, without a look at how many lines there are: whoever has it calls `look` now and then. As good as the
        log is open when it is asked for."""
        return self._lines.append if self.kept else _nothing

    def look(self) -> None:
        """Have the lines written where there are many, and drop the last of too many."""
        count = len(self._lines)
        if count >= _PLENTY:
            self._plenty.set()
            if count > _MOST:
                del self._lines[_MOST:]
                self._dropped += count - _MOST

    async def _flush_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH):
                    await self._plenty.wait()
            self._plenty.clear()
            if self._lines:
                await in_thread(self._write, self._take())

    def _take(self) -> list[str]:
        lines = self._lines.copy()
        self._lines.clear()  # the list stays: see `quickly`
        if self._dropped:
            lines.append(json.dumps({"time": round(time.time(), 3), "dropped": self._dropped}) + "\n")
            self._dropped = 0
        return lines

    def _write(self, lines: list[str]) -> None:
        written = 0
        try:
            for first in range(0, len(lines), _TOGETHER):
                view = memoryview("".join(lines[first : first + _TOGETHER]).encode())
                while view:
                    view = view[os.write(self._fd, view) :]
                written = first + _TOGETHER
        except OSError as fault:
            log.error("%s: %d lines lost: %s", self._path, len(lines) - written, fault)


def _nothing(line: str) -> None:
    """Keep no line."""
