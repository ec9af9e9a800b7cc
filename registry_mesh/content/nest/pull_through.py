"""A cache in front of a source: the heart of a site."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Final

from cachetools import LRUCache

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.content.fill.fill import Fill
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.state import Distrust
from registry_mesh.content.nest.bypass import bypass
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import (
    HELD,
    BlobInfo,
    BlobSource,
    FileSlice,
    Piece,
    Provenance,
    Reading,
    Streamed,
)
from registry_mesh.ports.failures import SourceLied, StoreBroken, StoreFull
from registry_mesh.ports.place import Place
from registry_mesh.ports.shared import NearBlobs

ATTEMPTS: Final = 3
"""Fills that a reader who has been given no byte yet is moved through when a source lied."""


def _nobody(source: str, digest: Digest, reason: str) -> None:
    """Nobody is told."""


def _nowhere(digest: Digest) -> bool:
    """Clients cannot be sent anywhere."""
    return False


class PullThrough:
    """Blobs of `store`, and of `source` by way of `store`. One per repository; `fills` is the process's.

    `redirects` tells of a blob, without asking anybody, whether `store` can send clients elsewhere for it: they are
    sent there while it is being filled, too.
    """

    def __init__(
        self,
        store: NearBlobs,
        source: BlobSource,
        fills: Fills,
        distrust: Distrust = _nobody,
        place: Place | None = None,
        redirects: Callable[[Digest], bool] = _nowhere,
    ) -> None:
        self._place = place
        self._redirects = redirects
        self._store = store
        self._source = source
        self._fills = fills
        self._distrust = distrust
        self._sizes: LRUCache[Digest, int] = LRUCache(4096)

    async def stat(self, digest: Digest) -> BlobInfo:
        """From what is held or was told by a held manifest; else one question to the source."""
        try:
            return await self._store.stat(digest)
        except (BlobUnknown, StoreBroken):
            pass
        fill = self._fills.get(digest)
        size = fill.size if fill else self._sizes.get(digest)
        if size is None:
            size = await self._known_size(digest)
        if size is None:
            size = (await self._source.stat(digest)).size
            self._sizes[digest] = size
        return BlobInfo(digest, size)

    async def _known_size(self, digest: Digest) -> int | None:
        try:
            return await self._store.known_size(digest)
        except StoreBroken:
            return None

    async def chunk_map(self, digest: Digest) -> ChunkMap | None:
        """The store's, else the source's."""
        return await self._store.chunk_map(digest) or await self._source.chunk_map(digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Held, or filling, or past the store where that cannot hold it."""
        async with AsyncExitStack() as stack:
            if digest == Digest.of(b"", digest.algorithm):
                yield _Nothing(digest, BlobInfo(digest, 0).clip(span))
            else:
                yield await self._held(stack, digest, span) or await self._filling(stack, digest, span)

    async def _held(self, stack: AsyncExitStack, digest: Digest, span: Span | None) -> Reading | None:
        filling = self._fills.get(digest) is not None or self._fills.begins(digest)
        if filling and not self._redirects(digest):
            return None
        try:
            return await stack.enter_async_context(self._store.open(digest, span))
        except (BlobUnknown, StoreBroken):
            return None

    async def _filling(self, stack: AsyncExitStack, digest: Digest, span: Span | None) -> Reading:
        begins = self._fills.get(digest) is None
        try:
            fill = await self._join(digest, span)
        except (StoreFull, StoreBroken):
            info = await self.stat(digest)
            return _Past(self, info, info.clip(span))
        stack.enter_context(fill.open())
        clipped = BlobInfo(digest, fill.size).clip(span)
        came = begins and fill.state.fetched > 0  # for us: it may all be here before we look
        return FillReading(self, fill, clipped, hit=fill.holds(clipped) and not came)

    async def _join(self, digest: Digest, span: Span | None) -> Fill:
        return await self._fills.join(digest, self._source, span, self._distrust, self._place)

    async def pieces(self, fill: Fill, span: Span) -> AsyncIterator[Piece]:
        """Follow `fill`; on past the store when that fails, on to a new fill when a source lied."""
        position = span.start
        with ExitStack() as kept:
            for attempt in range(ATTEMPTS):
                try:
                    async for piece in fill.follow(Span(position, span.stop)):
                        position += len(piece)
                        yield piece
                    return
                except (StoreFull, StoreBroken):
                    break
                except SourceLied:
                    if position > span.start or attempt == ATTEMPTS - 1:
                        raise
                    fill = await self._join(fill.digest, span)
                    kept.enter_context(fill.open())
            before = await fill.hashed(position) if span.start == 0 else None
        info = BlobInfo(fill.digest, fill.size)
        async for data in bypass(self._source, info, Span(position, span.stop), self._distrust, before):
            yield data

    def past(self, info: BlobInfo, span: Span) -> AsyncIterator[bytes]:
        """Past the store."""
        return bypass(self._source, info, span, self._distrust)


class _Nothing(Streamed):
    """A reading of the empty blob, which every registry has."""

    provenance = HELD

    def __init__(self, digest: Digest, span: Span) -> None:
        self.info = BlobInfo(digest, 0)
        self.span = span

    async def pieces(self) -> AsyncIterator[Piece]:
        return
        yield b""


class FillReading(Streamed):
    """A reading of a fill under way."""

    def __init__(self, through: PullThrough, fill: Fill, span: Span, *, hit: bool) -> None:
        self._through = through
        self._fill = fill
        self.info = BlobInfo(fill.digest, fill.size)
        self.span = span
        self.provenance = Provenance(hit=hit, source="")

    @property
    def grows(self) -> bool:
        return self._fill.grows

    def ready(self, span: Span) -> FileSlice | None:
        return self._fill.ready(span)

    def pieces(self) -> AsyncIterator[Piece]:
        return self._through.pieces(self._fill, self.span)


class _Past(Streamed):
    """A reading past the store."""

    def __init__(self, through: PullThrough, info: BlobInfo, span: Span) -> None:
        self._through = through
        self.info = info
        self.span = span
        self.provenance = Provenance(hit=False)

    def pieces(self) -> AsyncIterator[Piece]:
        return self._through.past(self.info, self.span)
