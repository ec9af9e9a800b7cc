"""A value that files make, which may be renewed at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LOOK: Final = 1.0
"""Seconds between two looks at the files."""

_Seen = tuple[tuple[int, int, int], ...]
"""Modification time, size and inode of each file."""


class RenewedFiles(Generic[T]):
    """What `read` makes of `files`, made anew when one of them is another. Files that cannot be used change nothing."""

    def __init__(self, files: Sequence[str], read: Callable[[], T], told: Callable[[str], None]) -> None:
        """`told` hears why files cannot be used, once each, and an empty text when they were read again. What `read`
        raises, and OSError."""
        self.files = tuple(files)
        self._read = read
        self._told = told
        self._fault = ""  # that was told of last
        self._seen = self._look()
        self.value = read()
        """What the files say now, or said when they were good last."""

    def renew(self) -> None:
        """Look at the files. Never fails."""
        try:
            seen = self._look()
            if seen == self._seen:
                return
            self._seen = seen
            self.value = self._read()
        except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
            if str(fault) != self._fault:
                self._fault = str(fault)
                self._told(self._fault)
            return
        self._fault = ""
        self._told("")

    def _look(self) -> _Seen:
        found = (Path(path).stat() for path in self.files)
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)
