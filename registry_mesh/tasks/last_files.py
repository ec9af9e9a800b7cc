"""What files of the operator said when they could be used last, for processes that begin while they cannot be."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Protocol, TypeVar

from registry_mesh.tasks.files import Files, Noted, kept

T = TypeVar("T")


class Shared(Protocol):
    """A text in memory that outlives a process."""

    @property
    def room(self) -> int:
        """Bytes that it may have."""

    def read(self) -> str:
        """The text; empty before there is one."""

    def write(self, text: str) -> None:
        """Replace the text."""


class LastFiles:
    """Kept in `shared` and nowhere else: keys and hashes of passwords are among them. None: nothing is kept. One
    process at a time writes: the one in a seat, or the first of a node; `writes` says whether it is this one."""

    def __init__(self, shared: Shared | None = None, writes: bool = True) -> None:
        self._shared = shared
        self._writes = writes
        self._lock = Lock()
        """Files are looked at in threads."""

    def read(self, named: Sequence[str], read: Callable[[Files], T], tell: Callable[[Exception], None]) -> T:
        """For a process that begins: what `read` makes of the files, else of what they said last; `tell` hears why.
        What `read` raises where nothing is known of that. `named`: files and folders, as the operator names them."""
        try:
            return self.fresh(named, read)
        except Exception as fault:
            if (contents := self.kept(named)) is None:
                raise
            with kept(contents) as files:
                found = read(files)
            tell(fault)
            return found

    def fresh(self, named: Sequence[str], read: Callable[[Files], T]) -> T:
        """What `read` makes of the files as they are now; then they are kept, unless they changed meanwhile. What
        `read` raises."""
        files = Noted()
        found = read(files)
        if files.whole:
            self.keep(named, files.contents)
        return found

    def keep(self, named: Sequence[str], contents: Mapping[str, bytes]) -> None:
        """These were good. Of others the same stays kept. Where there is no room for these, they are not."""
        if self._shared is None or not self._writes:
            return
        with self._lock:
            known: dict[str, dict[str, str]] = json.loads(self._shared.read() or "{}")
            name = _name(named)
            known.pop(name, None)
            more = {**known, name: {path: base64.b64encode(data).decode() for path, data in contents.items()}}
            text = json.dumps(more)
            self._shared.write(text if len(text) <= self._shared.room else json.dumps(known))

    def kept(self, named: Sequence[str]) -> dict[str, bytes] | None:
        """What the files said when they were good last, by their paths; None where that is not known."""
        if self._shared is None:
            return None
        found = json.loads(self._shared.read() or "{}").get(_name(named))
        return {path: base64.b64decode(data) for path, data in found.items()} if found is not None else None


def _name(named: Sequence[str]) -> str:
    return json.dumps(sorted(set(named)))
