"""What a node remembers of the tags of its sources, to be written down beside what it holds."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

from registry_mesh.content.snapshot.records.released import Release, Releases
from registry_mesh.content.snapshot.records.remembered_tags import RememberedTags, TagMemory
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records

Line = dict[str, Any]
"""A repository of registry-mesh/listing/1, or a part of one."""


class Remembering:
    """Of all repositories, at `now` (seconds since the epoch)."""

    def __init__(self, records: Records, now: float) -> None:
        self._now = now
        self._remembered = RememberedTags(records)
        self._releases = Releases(records)
        self._is_loaded = False
        self._told = set[Place]()

    async def of(self, place: Place) -> Line:
        """What a line says of a repository's tags besides what is held: the values that its source showed last."""
        self._told.add(place)
        if not self._is_loaded:
            await self._releases.load()
            self._is_loaded = True
        released = self._releases.of(place)
        memory = await self._remembered.of(place)
        return (
            {"seen": {tag: self._seen(tag, known, released) for tag, known in memory.items()}}
            if memory
            else {}
        )

    async def rest(self) -> AsyncIterator[Line]:
        """A line for each repository of which anything is remembered and no line has said it: one of its own would
        take the place of the line that says what is held."""
        async for place in self._remembered.places():
            if place not in self._told:
                line: Line = {"registry": place.registry, "repository": place.repository}
                yield line | {"listed_at": self._now, "tags": {}} | await self.of(place)

    def _seen(self, tag: Tag, known: TagMemory, released: Mapping[tuple[Tag, str], Release]) -> Line:
        told: Line = {"digest": known.digest, "since": known.since}
        moves = known.moved(self._now)
        told |= {"moves": moves} if moves else {}
        return told | ({"released": True} if (tag, known.digest) in released else {})


def held_since(known: TagMemory | None, held: Line) -> Line:
    """Since when a `held` tag is here, and its value is known; and what a rule promised of it."""
    if known is None:
        return {}
    told: Line = {"since": known.since} if known.digest == held.get("digest") else {}
    told["here"] = known.since if known.here is None else known.here
    until = "forever" if known.held_until == math.inf else known.held_until
    return told | ({"held_until": until} if until is not None else {})
