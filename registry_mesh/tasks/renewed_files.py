"""A value that files make, which may be renewed at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from registry_mesh.tasks.files import Files, trace
from registry_mesh.tasks.last_files import LastFiles

T = TypeVar("T")

LOOK: Final = 1.0
"""Seconds between two looks at the files."""

_Seen = tuple[tuple[int, ...], ...]
"""The trace of each file."""


class RenewedFiles(Generic[T]):
    """What `read` makes of `files`, made anew when one of them is another. Files that cannot be used change nothing."""

    def __init__(
        self,
        files: Sequence[str],
        read: Callable[[Files], T],
        told: Callable[[str], None],
        last: LastFiles | None = None,
    ) -> None:
        """`told` hears why files cannot be used, once each, and an empty text when they were read again. `last` knows
        what they said to the process before. What `read` raises."""
        self.files = tuple(files)
        self._read = read
        self._told = told
        self._last = last or LastFiles()
        self._fault = ""  # that was told of last
        self._seen = self._look_at_start()
        self.value = self._last.read(self.files, read, lambda fault: self._tell(str(fault)))
        """What the files say now, or said when they were good last."""

    def renew(self) -> None:
        """Look at the files. Never fails."""
        try:
            seen = self._look()
            if seen == self._seen:
                return
            self._seen = seen
            self.value = self._last.fresh(self.files, self._read)
        except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
            self._tell(str(fault))
            return
        self._fault = ""
        self._told("")

    def _tell(self, why: str) -> None:
        if why != self._fault:
            self._fault = why
            self._told(why)

    def _look_at_start(self) -> _Seen:
        try:
            return self._look()
        except OSError:
            return ()

    def _look(self) -> _Seen:
        return tuple(map(trace, self.files))
