"""What a tag needs must not be deleted from under it: which tag stands, by way of indexes and manifests, on a digest.

What a manifest names never changes, so it is read once a process and remembered; which manifests there are is listed
anew each time. A push that comes between the look and the deletion finds its child gone, or is seen by a self-check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.repositories.keys import digest_of
from registry_mesh.repositories.parts import RepositoryParts
from registry_mesh.tasks.together import ask_each

REMEMBERED: Final = 20_000
"""Manifests of all repositories together."""

_LISTS: Final = re.compile(r"sha(256|512)-[0-9a-f]{64}")
"""Referrers tags: they list what hangs beside an image, and need none of it."""


class NamedBy:
    """What the manifests of a store name. One a process."""

    def __init__(self) -> None:
        self._named: dict[Digest, frozenset[Digest]] = {}

    async def tag_on(self, parts: RepositoryParts, digest: Digest) -> Tag | None:
        """A tag of the repository that needs `digest` for what it points at; not one that points at it itself."""
        parents = await self._parents(parts)
        seen, ahead = {digest}, [digest]
        for each in ahead:
            for parent in parents.get(each, ()):
                if parent in seen:
                    continue
                seen.add(parent)
                ahead.append(parent)
                for tag in await parts.tags.pointing_at(parent):
                    if not _LISTS.fullmatch(tag):
                        return tag
        return None

    async def _parents(self, parts: RepositoryParts) -> Mapping[Digest, list[Digest]]:
        keys = [digest_of(key) async for key in parts.records.walk(parts.keys.manifests)]
        here = [digest for digest in keys if digest is not None]
        if len(self._named) > REMEMBERED:
            self._named.clear()
        await ask_each(lambda digest: self._read(parts, digest), [d for d in here if d not in self._named])
        parents: dict[Digest, list[Digest]] = {}
        for digest in here:
            for child in self._named.get(digest, ()):
                parents.setdefault(child, []).append(digest)
        return parents

    async def _read(self, parts: RepositoryParts, digest: Digest) -> None:
        shelved = await parts.shelf.find(digest)
        if shelved is not None:
            shelved = await parts.shelf.names(shelved)
            self._named[digest] = frozenset((*shelved.blobs, *shelved.manifests, *shelved.mentions))
