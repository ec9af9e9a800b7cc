"""What a second parent says of a blob's chunk map.

A map proves that bytes are what the parent that gave it meant. One whose map agrees with its own lie is found out by
another's map, where there is another: then neither is believed, and only the whole blob's digest tells which is right.
Parents that agree on a lie, and one that is alone, are found out by a whole pull, or by a map that is signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Protocol

from registry_mesh.chunks.chunk_map import ChunkMap, ChunkMapsDiffer
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure, MapsDisputed
from registry_mesh.ports.parents import Parent
from registry_mesh.ports.repositories import Repository

HEAD: Final = Span(0, 0)
"""As the span of a map: its upper level alone, which is all that is compared."""


class Candidate(Protocol):
    """A repository as one parent offers it."""

    @property
    def parent(self) -> Parent:
        """Whose word it is."""
        ...

    @property
    def repository(self) -> Repository:
        """What it is asked."""
        ...


class SecondOpinion:
    """Of the parent that comes after the first that can be asked. Asked beside it, so that nobody waits for both."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._other: Candidate | None = None
        self._asking: asyncio.Task[ChunkMap | None] | None = None

    def begin(self, candidates: Iterable[Candidate]) -> None:
        """Ask, where there are two to be asked."""
        available = [each for each in candidates if each.parent.available][:2]
        if len(available) == 2:
            self._other = available[1]
            self._asking = asyncio.get_running_loop().create_task(self._ask(self._other))

    async def _ask(self, other: Candidate) -> ChunkMap | None:
        with suppress(Failure, Refusal):
            return await other.repository.blobs.chunk_map(self._digest, HEAD)
        return None

    async def compare(self, found: ChunkMap, name: str) -> None:
        """`MapsDisputed` where the map `found`, of the parent `name`, cannot be right if the other's is. A late one is
        not waited for."""
        if self._asking is None or self._other is None or self._other.parent.name == name:
            return
        await asyncio.wait([self._asking], timeout=self._other.parent.late)
        other = self._asking.result() if self._asking.done() else None
        if other is None:
            return
        try:
            found.joined(other)
        except ChunkMapsDiffer:
            names = f"{name} and {self._other.parent.name}"
            raise MapsDisputed(f"the chunk maps of {names} differ", source=name) from None

    async def close(self) -> None:
        """Wait no longer."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
