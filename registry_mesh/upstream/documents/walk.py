"""A walk over a parent's list, page after page, as the parent writes its links.

Registries number pages by cursors of any name, give pages of any size in any order, empty ones among them, and some
link in circles. The walk ends where no page follows, and where nothing new comes: then `note` says why.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.ports.failures import SourceUnreadable

PAGE: Final = 100
"""Names asked for at a time: registries refuse more (1,000 some, 100 others)."""
PAGES: Final = 20_000
EMPTY: Final = 100
"""Pages in a row without a name, after which nobody goes on."""
NAMES: Final = 1_000_000
LONGEST: Final = 256
"""Characters of a name; what is longer is none."""

Ask = Callable[[str], Awaitable[tuple[dict[str, Any], str | None]]]  # Any: JSON
"""One page, and the path of the next."""


class Walk:
    """One list, from the page at `path` on. `key` is where a page has its names.

    `note` says, once it has ended, why, where the parent did not say so itself; empty where it did.
    """

    def __init__(self, ask: Ask, path: str, key: str, source: str) -> None:
        self._ask = ask
        self._path: str | None = path
        self._key = key
        self._source = source
        self._known: set[str] = set()
        self._asked: set[str] = set()
        self._empty = 0
        self.note = ""

    @property
    def ended(self) -> bool:
        """Whether there is no further page."""
        return self._path is None

    async def pages(self) -> AsyncGenerator[list[str]]:
        """The new names of each page, in the parent's order. `SourceUnreadable` where the list is beyond all bounds."""
        while self._path is not None:
            self._asked.add(self._path)
            try:
                document, following = await self._ask(self._path)
            except NameUnknown:
                if len(self._asked) == 1:
                    raise
                self.note, self._path = "links to a page that is not there", None
                return
            names = self._names(document)
            fresh = [name for name in dict.fromkeys(names) if name not in self._known]
            self._known.update(fresh)
            self._empty = 0 if names else self._empty + 1
            self._path = self._following(following, stuck=bool(names) and not fresh)
            if len(self._known) > NAMES or len(self._asked) > PAGES:
                raise SourceUnreadable(f"lists more than {NAMES} names or {PAGES} pages", source=self._source)
            yield fresh

    def _names(self, document: dict[str, Any]) -> list[str]:
        listed = document.get(self._key)
        if listed is None and (self._key in document or "name" in document):
            return []
        if not isinstance(listed, list):
            raise SourceUnreadable(f"sent a list without {self._key}", source=self._source)
        return [name for name in listed if isinstance(name, str) and len(name) <= LONGEST]

    def _following(self, path: str | None, *, stuck: bool) -> str | None:
        if path is None:
            return None
        if path in self._asked:
            self.note = "links to a page that it sent before"
        elif stuck:
            self.note = "links on behind a page that brings nothing new"
        elif self._empty >= EMPTY:
            self.note = f"links on behind {EMPTY} empty pages"
        return None if self.note else path
