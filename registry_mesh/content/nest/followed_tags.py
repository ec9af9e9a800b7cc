"""Tags of a replica, with the truth of those that its rules no longer follow: they are answered, and not as fresh."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.repositories import Repository, Resolved, TagPage
from registry_mesh.ports.unfollowed import Following, following

_LOOK: Final = 2.0
"""Seconds for which what a run noted of a repository is believed."""
_KNOWN: Final = 10_000


class FollowedTags:
    """What is noted of the repositories of one replica; `of` gives a repository that heeds it."""

    def __init__(self, records: KeyedRecords, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._clock = clock
        self._known: TTLCache[Place, Following] = TTLCache(_KNOWN, _LOOK)

    def of(self, kept: Repository) -> Repository:
        """The repository, with tags that tell when they were followed last."""
        return replace(kept, tags=_Tags(self, kept))

    async def provenance(self, place: Place, tag: Tag) -> Provenance | None:
        """How an answer about a tag that is not followed came about; None for one that is. `StoreBroken`."""
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = await following(self._records, place)
        away = known.unfollowed.get(tag)
        return None if away is None else Provenance(age=max(0.0, self._clock() - away.since), stale=True)


class _Tags:
    """`TagSource` of one repository."""

    def __init__(self, followed: FollowedTags, kept: Repository) -> None:
        self._followed = followed
        self._kept = kept

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """What is held; stale since the rules stopped to follow it."""
        found = await self._kept.tags.resolve(tag, known)
        place = Place(self._kept.registry, self._kept.name)
        provenance = await self._followed.provenance(place, tag)
        return found if provenance is None else replace(found, provenance=provenance)

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """What is held."""
        return await self._kept.tags.tags(limit, last)
