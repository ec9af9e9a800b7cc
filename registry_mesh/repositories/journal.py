"""What of a change can be seen in an origin's documents: implements `ports.happenings.Journal`."""

from __future__ import annotations

from dataclasses import replace

from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.ports.happenings import PUSH, Happening
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.parts import RepositoryParts


class DocumentJournal:
    """Of all repositories of one store."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    async def happened(self, begun: Happening) -> Happening | None:
        """See `Journal.happened`. A tag has a number for each change: one that was set or deleted since the beginning
        was so by this change, or by one that did the same."""
        parts = self._repositories.parts(RepositoryName(begun.repository))
        tags = [tag for tag in begun.tags if await self._was_changed(parts, Tag(tag), begun)]
        if tags:
            return replace(begun, tags=tuple(tags))
        is_there = await parts.shelf.find(begun.digest) is not None
        if begun.tags and begun.kind == PUSH:
            return None  # the manifest alone is no event of its own: its push was not answered
        return begun if not begun.tags and is_there == (begun.kind == PUSH) else None

    @staticmethod
    async def _was_changed(parts: RepositoryParts, tag: Tag, begun: Happening) -> bool:
        wanted = begun.digest if begun.kind == PUSH else None
        entries = await parts.tags.history(tag)
        return any(entry.at >= begun.at and entry.digest == wanted for entry in entries)
