"""What the access files say, and what they said last while they are invalid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from registry_mesh.auth.book import Book, TokenReader
from registry_mesh.config.access_files import load_book, load_issuers
from registry_mesh.config.callers import Access
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.schema import Config
from registry_mesh.config.values import is_address
from registry_mesh.tasks.last_files import LastFiles

Fetched = Mapping[str, bytes]
NONE: Fetched = MappingProxyType({})


class AccessBooks:
    """`last` knows what the files said when they were valid. `tell` hears why they cannot be used, and nothing once
    they can."""

    def __init__(
        self, config: Config, last: LastFiles, tell: Callable[[Sequence[str]], None] = lambda faults: None
    ) -> None:
        self._config = config
        self._named = named_files(config.access)
        self._last = last
        self._tell = tell

    def first(self) -> Book:
        """For a process that begins: what the files say, else what they said last. `ConfigInvalid` where nothing is
        known of that. Keys of issuers rotate whatever the other files are like: those of now, where they are good."""
        faults: list[Exception] = []
        book = self._last.read(self._named, lambda files: load_book(self._config, files=files), faults.append)
        for fault in faults:
            self._refused(fault)
            return replace(book, issuers=self.issuers() or book.issuers)
        self._tell(())
        return book

    def newest(self, fetched: Fetched) -> Book:
        """What the files say now. `fetched`: see `load_issuers`. `ConfigInvalid`."""
        try:
            book = self._last.fresh(self._named, lambda files: load_book(self._config, fetched, files))
        except ConfigInvalid as fault:
            self._refused(fault)
            raise
        self._tell(())
        return book

    def issuers(self, fetched: Fetched = NONE) -> Mapping[str, TokenReader] | None:
        """Those with the keys they have now; None where their own files have a fault."""
        try:
            return load_issuers(self._config.access, fetched)
        except ConfigInvalid:
            return None

    def _refused(self, fault: Exception) -> None:
        findings = fault.findings if isinstance(fault, ConfigInvalid) else [fault]
        self._tell([str(each) for each in findings])


def named_files(access: Access) -> list[str]:
    """The files and folders that the operator names."""
    keys = [each.keys for each in access.issuers.values() if not is_address(each.keys)]
    return [*filter(None, (access.users, access.policies, access.robots)), *keys]
