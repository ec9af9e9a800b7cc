"""What the access files said when they were valid last, for processes that begin while they are not."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from registry_mesh.auth.book import Book, TokenReader
from registry_mesh.config.access_files import load_book, load_issuers
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.schema import Config
from registry_mesh.telemetry.note import Note


class LastBook:
    """Kept in `note`, which the processes of a node share, and nowhere else: it holds the hashes of passwords. One
    process writes; the others, and those that come in the place of one that died, read. `tell` hears why the files
    cannot be used, and nothing once they can."""

    def __init__(
        self, note: Note, writes: bool = False, tell: Callable[[Sequence[str]], None] | None = None
    ) -> None:
        self._note = note
        self._writes = writes
        self._tell = tell

    def load(self, config: Config) -> Book:
        """For a process that begins: what the files say, else what they said last. `ConfigInvalid` where nothing is
        known of that. Keys of issuers are those of their files now, for they are not kept; none where these have a
        fault."""
        try:
            book = load_book(config)
        except ConfigInvalid as invalid:
            if (kept := self._read()) is None:
                raise
            self.refused([str(each) for each in invalid.findings])
            return replace(kept, issuers=issuers_of(config) or {})
        self.keep(book)
        return book

    def keep(self, book: Book) -> None:
        """The files say this. Where there is no room for it, nothing is kept."""
        if not self._writes:
            return
        data = base64.b64encode(pickle.dumps(replace(book, issuers={})))
        self._note.write(data.decode() if len(data) <= self._note.room else "")
        if self._tell is not None:
            self._tell(())

    def refused(self, faults: Sequence[str]) -> None:
        """The files cannot be used."""
        if self._writes and self._tell is not None:
            self._tell(faults)

    def _read(self) -> Book | None:
        data = self._note.read()
        if not data:
            return None
        book = pickle.loads(base64.b64decode(data))
        assert isinstance(book, Book)
        return book


def issuers_of(
    config: Config, fetched: Mapping[str, bytes] = MappingProxyType({})
) -> Mapping[str, TokenReader] | None:
    """Those with the keys they have now, which rotate whatever the other files are like; None where their own files
    have a fault. `fetched`: see `load_issuers`."""
    try:
        return load_issuers(config.access, fetched)
    except ConfigInvalid:
        return None
