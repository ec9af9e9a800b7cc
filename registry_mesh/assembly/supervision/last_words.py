"""Why a process could not start, as told to its supervisor: many may fail for one reason, and it is said once."""

from __future__ import annotations

import os
import select
from typing import Final

_MOST: Final = 1000
"""Bytes of a reason: so many are written to a pipe at once or not at all (PIPE_BUF is 4096)."""


class LastWords:
    """A pipe, made before the fork."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def say(self, unfit: bool, why: str) -> None:
        """In a child. `unfit`: to start it again as it is would be of no use."""
        line = f"{int(unfit)}{' '.join(why.split())}".encode()[:_MOST] + b"\n"
        try:
            os.write(self._write, line)
        except BlockingIOError:
            return  # others have said enough

    def heard(self) -> tuple[bool, str] | None:
        """What was said first; None where nothing was. What was said since is forgotten."""
        first = None
        while select.select([self._read], [], [], 0)[0]:
            lines = os.read(self._read, 65536).decode(errors="replace").splitlines()
            first = first or next(iter(lines), None)
        return (first[0] == "1", first[1:]) if first else None
