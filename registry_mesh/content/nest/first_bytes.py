"""The first bytes of a body: a second parent is asked beside one whose answer has begun, and whose body has not."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from registry_mesh.content.nest.candidates import Candidate
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.first_answer import FirstAnswer
from registry_mesh.content.nest.race import Race, Won, first_done
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Reading
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.parents import Parent
from registry_mesh.ports.repositories import Repository

BESIDE: Final = 1 << 20
"""Bytes of a span that may be asked of two parents at once."""

BEGUN: Final = 12 << 10
"""Bytes of a body that a new connection brings at once, before it waits for its first acknowledgment (RFC 6928)."""

IN_FLIGHT: Final = 256 << 10
"""Bytes of a larger body that may be on their way when it is hung up."""


@dataclass(frozen=True, slots=True)
class OpenedSpan:
    """A reading, and what is to be closed with it."""

    stack: AsyncExitStack
    reading: Reading

    async def close(self) -> None:
        """End the reading. Closing twice is fine."""
        await self.stack.aclose()


@dataclass(frozen=True, slots=True)
class WantedSpan:
    """What is asked of one parent or two: `span`, or all of the blob."""

    digest: Digest
    span: Span | None

    @property
    def size(self) -> int:
        """Bytes that come at most where it is asked for in vain. A large one is not asked for before a HEAD has told
        that the other answers."""
        return IN_FLIGHT if self._is_large or self.span is None else len(self.span)

    @property
    def _is_large(self) -> bool:
        return self.span is None or len(self.span) > BESIDE

    async def open(self, repository: Repository, *, beside: bool) -> OpenedSpan:
        """Open the span at a repository: a large one, asked for `beside` another, once a HEAD was answered."""
        stack = AsyncExitStack()
        if beside and self._is_large:
            await repository.blobs.stat(self.digest)
        return OpenedSpan(
            stack, await stack.enter_async_context(repository.blobs.open(self.digest, self.span))
        )


class FirstBytes:
    """Asks a second parent of one repository where a body is late to begin."""

    def __init__(self, first: FirstAnswer, distrusted: Distrusted) -> None:
        self._first = first
        self._distrusted = distrusted
        self._hedges = distrusted.hedges

    async def of(self, opened: OpenedSpan, wanted: WantedSpan) -> OpenedSpan:
        """What is opened, or another parent's answer whose body began first; the one that is not given is closed, as
        both are where this is cancelled."""
        try:
            return await self._begun(opened, wanted)
        except BaseException:
            await opened.close()
            raise

    async def _begun(self, opened: OpenedSpan, wanted: WantedSpan) -> OpenedSpan:
        name = opened.reading.provenance.source
        first = self._first.parent(name) if self._first.hurries else None
        if first is None or first.soon >= first.hush:  # it is left by then, which costs less
            return opened
        begun = asyncio.ensure_future(_begin(opened))
        try:
            if await first_done([begun], self._hedges.soon(first, "bytes")):
                self._hedges.answered(name, "bytes")
                return opened
            other = self._first.beside(first, "blobs", wanted.digest)
            if other is None or not self._hedges.take(name, min(wanted.size, len(opened.reading.span))):
                return opened
            return await self._raced(opened, begun, wanted, first, other)
        finally:
            begun.cancel()
            await asyncio.wait([begun])

    async def _raced(
        self,
        opened: OpenedSpan,
        begun: asyncio.Future[OpenedSpan],
        wanted: WantedSpan,
        late: Parent,
        other: Candidate,
    ) -> OpenedSpan:
        """The answer whose body begins first. Where the other's is none, or the first is late by any measure, it is the
        first: whoever receives it sees to what becomes of it."""

        async def close(found: OpenedSpan) -> None:
            if found is not opened:
                await found.close()

        race: Race[Parent, OpenedSpan] = Race(close)
        race.begin(late, begun)
        race.begin(other.parent, self._other(other.repository, wanted, opened.reading.info.size))
        try:
            won = await race.next(late.late)
            if isinstance(won, Won) and won.candidate is other.parent:
                self._note_beaten(late)
                await opened.close()
                return won.answer
            if isinstance(won, Won):
                self._hedges.answered(late.name, "bytes")
        finally:
            await race.close()
        self._hedges.told(late.name, "lost")
        return opened

    async def _other(self, repository: Repository, wanted: WantedSpan, size: int) -> OpenedSpan:
        opened = await wanted.open(repository, beside=True)
        try:
            if opened.reading.info.size != size:
                raise SourceUnavailable("names another size", source=opened.reading.provenance.source)
            return await _begin(opened)
        except BaseException:
            await opened.close()
            raise

    def _note_beaten(self, late: Parent) -> None:
        self._hedges.told(late.name, "won")
        if self._hedges.beaten(late.name, "bytes"):
            self._distrusted.was_beaten(late, "blobs")


async def _begin(opened: OpenedSpan) -> OpenedSpan:
    await opened.reading.begin(BEGUN)
    return opened
