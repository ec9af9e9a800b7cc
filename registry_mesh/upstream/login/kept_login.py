"""What a file said of one parent's login when it was good last."""

from __future__ import annotations

from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.tasks.threads import offload
from registry_mesh.upstream.login.credentials import Document, parse_document


class KeptLogin:
    """Of the source of that name and the parent at `url`: a file may be good for one parent and not for another."""

    def __init__(self, last: LastFiles, name: str, url: str) -> None:
        self._last = last
        self._source = name
        self._named = (name, url)

    async def keep(self, document: Document) -> None:
        """It is good. What commands print is not kept: it ends, and they can be asked again."""
        if document.text:
            text = document.text.encode("utf-8", "surrogateescape")
            await offload(self._last.keep, self._named, {self._source: text})

    async def read(self) -> Document | None:
        """What was kept; None where nothing was."""
        kept = await offload(self._last.kept, self._named)
        if kept is None:
            return None
        return parse_document(kept[self._source].decode("utf-8", "surrogateescape"))
