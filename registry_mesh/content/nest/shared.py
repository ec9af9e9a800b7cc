"""Blobs that several sites share, asked for before any parent.

What is there comes as it would from a parent: a fill brings it to the site's own disk, chunk by chunk where a reader
wants a range, and goes on from the parents at the same byte where the shared place breaks off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobSource, Reading
from registry_mesh.ports.failures import Failure, SpanUnsatisfiable
from registry_mesh.ports.shared import SharedBlobs

T = TypeVar("T")


class SharedFirst:
    """`BlobSource`: what `shared` has and can give, else `beyond`, whose word counts where neither can. A shared place
    that sent wrong bytes of a blob is asked for that one after `beyond`, or not at all."""

    def __init__(self, shared: SharedBlobs, beyond: BlobSource, distrusted: Distrusted) -> None:
        self._shared = shared
        self._beyond = beyond
        self._distrusted = distrusted

    def distrust(self, source: str, digest: Digest, reason: str) -> None:
        """For `PullThrough`: bytes of `source` were wrong."""
        self._distrusted.note(source, digest, reason)
        if self._shared.name in source.split(", "):
            self._shared.reject(digest)

    def _places(self, digest: Digest) -> list[BlobSource]:
        if self._distrusted.shunned(self._shared.name, digest):
            return [self._beyond]
        if self._distrusted.lies(self._shared.name, digest):
            return [self._beyond, self._shared]
        return [self._shared, self._beyond]

    async def _first(self, ask: Callable[[BlobSource], Awaitable[T]], digest: Digest) -> T:
        told: Exception | None = None
        for place in self._places(digest):
            try:
                return await ask(place)
            except SpanUnsatisfiable:
                raise
            except (BlobUnknown, Failure) as fault:
                if place is self._beyond:
                    told = fault
        assert told is not None, "beyond is always asked"
        raise told

    async def stat(self, digest: Digest) -> BlobInfo:
        """The blob as the first place has it that knows it."""
        return await self._first(lambda place: place.stat(digest), digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """The blob opened at the first place that has it."""
        async with AsyncExitStack() as stack:
            yield await self._first(lambda place: stack.enter_async_context(place.open(digest, span)), digest)

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """The map of the first place that has one."""
        return await self._first(lambda place: place.chunk_map(digest, span), digest)
