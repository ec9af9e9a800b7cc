"""Blobs that several servers of a site bring together, so that each byte crosses the link to the parents once.

A blob's segments are shared out by rendezvous (`chunks.rendezvous`): every server knows the one that brings each,
without a word to the others. It asks the servers before itself in that order, which fetch what they lack, and those
after itself only for what they hold; then its parents. So no server ever waits for one that waits for it: the order is
the same for all of them, whichever each knows. Where no parent can be reached, the servers after itself are the last
resort, unless it asks for another server's sake.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.rendezvous import rank, segment
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import TO_END, BlobInfo, BlobSource, Reading
from registry_mesh.ports.failures import Failure, SpanUnsatisfiable
from registry_mesh.ports.hops import Asks, asked
from registry_mesh.ports.siblings import Sibling

AT_ONCE: Final = 1.0
"""Seconds that a sibling has to give what it holds."""


class SiblingsFirst:
    """`BlobSource` of what a server of a site lacks. A reading ends with the segment that it begins in."""

    def __init__(
        self, server: str, siblings: Sequence[Sibling], parents: BlobSource, distrusted: Distrusted
    ) -> None:
        self._server = server
        self._siblings = siblings
        self._parents = parents
        self._distrusted = distrusted

    async def stat(self, digest: Digest) -> BlobInfo:
        """The blob as the parents know it; where they cannot tell, as a sibling holds it."""
        try:
            return await self._parents.stat(digest)
        except Failure:
            for sibling in self._at_hand(digest, self._siblings):
                try:
                    async with asyncio.timeout(AT_ONCE):
                        return await sibling.held.stat(digest)
                except (Failure, Refusal, TimeoutError):
                    continue
            raise

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """The first segment of the span, opened where it is, or at the server that is to bring it."""
        wanted = span or Span(0, TO_END)
        part = segment(wanted.start)
        first = Span(wanted.start, min(wanted.stop, part.stop))
        before, after = self._sides(digest, part)
        async with AsyncExitStack() as stack:
            yield (
                await self._among(stack, digest, first, before, _filling)
                or await self._among(stack, digest, first, after, _held, AT_ONCE)
                or await self._beyond(stack, digest, first, after)
            )

    def _sides(self, digest: Digest, part: Span) -> tuple[list[Sibling], list[Sibling]]:
        """The siblings that come before this server, and those that come after it, in order."""
        own = rank(self._server, digest, part)
        ranked = sorted((rank(each.server, digest, part), i) for i, each in enumerate(self._siblings))
        before = [self._siblings[i] for place, i in ranked if place < own]
        after = [self._siblings[i] for place, i in ranked if place > own]
        return before, after

    def _at_hand(self, digest: Digest, siblings: Sequence[Sibling]) -> Iterator[Sibling]:
        """Those that can be asked, seen when their turn comes, and gave what they were asked for of late."""
        return (
            each
            for each in siblings
            if each.health.available and not self._distrusted.suspects(each.source, digest)
        )

    async def _among(
        self,
        stack: AsyncExitStack,
        digest: Digest,
        span: Span,
        siblings: Sequence[Sibling],
        side: Callable[[Sibling], BlobSource],
        seconds: float | None = None,
    ) -> Reading | None:
        """What the first of them gives that gives anything. What a sibling knows nothing of, others may."""
        for sibling in self._at_hand(digest, siblings):
            try:
                async with asyncio.timeout(seconds):
                    return await stack.enter_async_context(side(sibling).open(digest, span))
            except (Failure, Refusal, TimeoutError):
                continue
        return None

    async def _beyond(
        self, stack: AsyncExitStack, digest: Digest, span: Span, after: Sequence[Sibling]
    ) -> Reading:
        """The parents', and the last resort."""
        try:
            return await stack.enter_async_context(self._parents.open(digest, span))
        except SpanUnsatisfiable:
            raise
        except Failure:
            if asked() is Asks.ANYTHING:
                reading = await self._among(stack, digest, span, after, _filling)
                if reading is not None:
                    return reading
            raise

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """The parents': a sibling's proves its own bytes to nobody. Where they cannot tell, that of a sibling."""
        try:
            return await self._parents.chunk_map(digest, span)
        except Failure:
            for sibling in self._at_hand(digest, self._siblings):
                try:
                    async with asyncio.timeout(AT_ONCE):
                        found = await sibling.held.chunk_map(digest, span)
                except (Failure, Refusal, TimeoutError):
                    continue
                if found is not None:
                    return found
            raise


def _filling(sibling: Sibling) -> BlobSource:
    return sibling.filling


def _held(sibling: Sibling) -> BlobSource:
    return sibling.held
