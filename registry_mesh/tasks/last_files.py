"""What files of the operator said when they could be used last, for processes that begin while they cannot be."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Protocol, TypeVar

T = TypeVar("T")

Where = Callable[[str], str]
"""Gives the path to read for the path of a file."""


class Shared(Protocol):
    """A text in memory that outlives a process: of all that sit in one seat, one after the other."""

    @property
    def room(self) -> int:
        """Bytes that it may have."""

    def read(self) -> str:
        """The text; empty before there is one."""

    def write(self, text: str) -> None:
        """Replace the text."""


class LastFiles:
    """Kept in `shared` and nowhere else: keys are among them. None: nothing is kept."""

    def __init__(self, shared: Shared | None = None) -> None:
        self._shared = shared
        self._lock = Lock()
        """Files are looked at in threads."""

    def read(self, files: Sequence[str], read: Callable[[Where], T], tell: Callable[[str], None]) -> T:
        """For a process that begins: what `read` makes of the files, else of what they said last; `tell` hears why.
        What `read` raises where nothing is known of that."""
        try:
            return self.fresh(files, read)
        except Exception as fault:
            if (kept := self._kept(files)) is None:
                raise
            with _copies(kept) as where:
                found = read(where)
            tell(str(fault))
            return found

    def fresh(self, files: Sequence[str], read: Callable[[Where], T]) -> T:
        """What `read` makes of the files as they are now; then they are kept, unless they changed meanwhile. What
        `read` raises."""
        before = _contents(files)
        found = read(str)
        if self._shared is not None and before is not None and _contents(files) == before:
            with self._lock:
                self._keep(self._shared, before)
        return found

    def _keep(self, shared: Shared, contents: Mapping[str, bytes]) -> None:
        """Of other files the same stays kept. Where there is no room for it, these are not."""
        kept: dict[str, dict[str, str]] = json.loads(shared.read() or "{}")
        name = _name(list(contents))
        kept.pop(name, None)
        more = {**kept, name: {path: base64.b64encode(data).decode() for path, data in contents.items()}}
        text = json.dumps(more)
        shared.write(text if len(text) <= shared.room else json.dumps(kept))

    def _kept(self, files: Sequence[str]) -> dict[str, bytes] | None:
        if self._shared is None:
            return None
        found = json.loads(self._shared.read() or "{}").get(_name(files))
        return {path: base64.b64decode(data) for path, data in found.items()} if found is not None else None


def _name(files: Sequence[str]) -> str:
    return json.dumps(sorted(set(files)))


def _contents(files: Sequence[str]) -> dict[str, bytes] | None:
    try:
        return {path: Path(path).read_bytes() for path in files}
    except OSError:
        return None  # the reader says why


@contextmanager
def _copies(contents: Mapping[str, bytes]) -> Iterator[Where]:
    """Files in memory that hold the contents, for what takes nothing but paths."""
    with ExitStack() as stack:
        paths = {path: _copy(stack, data) for path, data in contents.items()}
        yield paths.__getitem__


def _copy(stack: ExitStack, data: bytes) -> str:
    file = stack.enter_context(os.fdopen(os.memfd_create("last", os.MFD_CLOEXEC), "wb"))
    file.write(data)
    file.flush()
    return f"/proc/self/fd/{file.fileno()}"
