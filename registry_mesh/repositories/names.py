"""The names of the repositories in `ports.Records`, in ASCII order, without a look at those before the first wanted."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from registry_mesh.oci.reference import RepositoryName, parse_name
from registry_mesh.oci.refusals import NameInvalid
from registry_mesh.ports.records import Records
from registry_mesh.repositories.keys import REPOSITORIES, RepositoryKeys

BATCH: Final = 128


async def repository_names(
    records: Records, below: str = "", last: str = ""
) -> AsyncIterator[RepositoryName]:
    """The repositories whose names begin with `below`, which is empty or ends in `/`, and come after `last`.

    `a-b` comes between `a` and `a/b`: what lies below a component waits until its turn has come.
    """
    after, waiting = _start(below, last)
    more = _reaches_beyond(below, last)
    while more:
        children = await records.children(REPOSITORIES + below, after, BATCH)
        more = len(children) == BATCH
        for child in children:
            after = child
            if child.startswith("_"):
                continue
            name = below + child
            while waiting and waiting[0] < name:
                async for deeper in repository_names(records, heapq.heappop(waiting), last):
                    yield deeper
            if name > last and (repository := await _repository(records, name)) is not None:
                yield repository
            if _reaches_beyond(f"{name}/", last):
                heapq.heappush(waiting, f"{name}/")
    while waiting:
        async for deeper in repository_names(records, heapq.heappop(waiting), last):
            yield deeper


async def _repository(records: Records, name: str) -> RepositoryName | None:
    with suppress(NameInvalid):
        parsed = parse_name(name)
        if await records.get(RepositoryKeys(parsed).existence) is not None:
            return parsed
    return None


def _reaches_beyond(below: str, last: str) -> bool:
    """Whether a name that begins with `below` can come after `last`."""
    return below > last or last.startswith(below)


def _start(below: str, last: str) -> tuple[str, list[str]]:
    """The component below `below` after which to begin, and what lies deeper than it and those before it, and comes
    after `last` all the same."""
    if not last.startswith(below):
        return "", []
    first = last[len(below) :].partition("/")[0]
    deeper = [first[:end] for end in range(1, len(first)) if first[end] < "/"]
    return first, sorted(f"{below}{component}/" for component in (*deeper, first) if component)
