"""What a second parent says of a blob's chunk map.

A map proves that bytes are what the parent that gave it meant. One whose map agrees with its own lie is found out by
another's map, where there is another: then neither is believed, and only the whole blob's digest tells which is right.
Two maps by one algorithm are compared as they are; of two by different ones each chunk that comes is held against both.
Parents that agree on a lie, and one that is alone, are found out by a whole pull, or by a map that is signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from registry_mesh.chunks.chunk_map import ChunkMap, ChunkMapsDiffer
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure, MapsDisputed
from registry_mesh.ports.parents import Parent
from registry_mesh.ports.repositories import Repository

HEAD: Final = Span(0, 0)
"""As the span of a map: its upper level alone, which is all that is compared of two by one algorithm."""


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

    def __init__(self, digest: Digest, span: Span, put_behind: Callable[[str, Digest], None]) -> None:
        self._put_behind = put_behind
        self._digest = digest
        self._span = span
        self._other: Candidate | None = None
        self._asking: asyncio.Task[ChunkMap | None] | None = None

    def begin(self, candidates: Iterable[Candidate]) -> None:
        """Ask, where there are two to be asked."""
        available = [each for each in candidates if each.parent.available][:2]
        if len(available) == 2:
            self._other = available[1]
            self._asking = self._begun(self._other, HEAD)

    def _begun(self, other: Candidate, span: Span) -> asyncio.Task[ChunkMap | None]:
        return asyncio.get_running_loop().create_task(self._ask(other, span))

    async def _ask(self, other: Candidate, span: Span) -> ChunkMap | None:
        with suppress(Failure, Refusal):
            return await other.repository.blobs.chunk_map(self._digest, span)
        return None

    async def compared(self, found: ChunkMap, name: str) -> ChunkMap:
        """The map `found`, of the parent `name`, with the other's beside it where that is by another algorithm.
        `MapsDisputed` where it cannot be right if the other's is. A late one is not waited for."""
        if self._other is None or self._other.parent.name == name:
            return found
        other, their = await self._told(self._other), self._other.parent.name
        if other is not None and other.algorithm is not found.algorithm and not other.covers(self._span):
            self._asking = self._begun(self._other, self._span)
            other = await self._told(self._other)
        if other is None:
            return found
        try:
            return replace(other, source=their).joined(replace(found, source=name))
        except ChunkMapsDiffer:
            self._put_behind(their, self._digest)  # until the whole is proven it comes of one of them alone
            raise MapsDisputed(f"the chunk maps of {name} and {their} differ", source=name) from None

    async def _told(self, other: Candidate) -> ChunkMap | None:
        if self._asking is None:
            return None
        await asyncio.wait([self._asking], timeout=other.parent.late)
        return self._asking.result() if self._asking.done() else None

    async def close(self) -> None:
        """Wait no longer."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
