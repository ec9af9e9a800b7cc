"""What was done to tags lately, over all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.tag_log import TagEntry


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a tag, and whose it was."""

    repository: RepositoryName
    tag: Tag
    entry: TagEntry


async def recent(repositories: Repositories, only: RepositoryName | None, last: int) -> list[Change]:
    """The `last` changes of all tags, of one repository or of all; the newest last. No more than those are kept."""
    newest: list[Change] = []
    async for name in _named(repositories, only):
        tags = repositories.parts(name).tags
        for tag in await tags.names():
            newest += [Change(name, tag, entry) for entry in await tags.history(tag)]
            if len(newest) > 2 * last:
                newest = sorted(newest, key=_order)[-last:]
    return sorted(newest, key=_order)[-last:]


async def _named(repositories: Repositories, only: RepositoryName | None) -> AsyncIterator[RepositoryName]:
    if only is not None:
        yield only
        return
    async for name in repositories.names():
        yield name


def _order(change: Change) -> tuple[float, RepositoryName, Tag, int]:
    return change.entry.at, change.repository, change.tag, change.entry.number
