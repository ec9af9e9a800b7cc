"""A cache in front of a source: the heart of a site."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager
from typing import Final

from cachetools import LRUCache

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.content.fill.fill import Fill
from registry_mesh.content.fill.fills import ATTEMPTS, Fills, opened_with_bytes
from registry_mesh.content.fill.phases import Phase
from registry_mesh.content.fill.rivals import Rivals
from registry_mesh.content.fill.via import NO_RIVALS, Distrust, Doubt, Via
from registry_mesh.content.fill.vouched import SignedRoot, nothing_is_signed
from registry_mesh.content.nest.belonging import NOT_HELD, Anybodys, Belonging
from registry_mesh.content.nest.bypass import bypass
from registry_mesh.content.nest.passed_on import MapsPassedOn
from registry_mesh.content.nest.readings import EmptyReading, FillReading, PastReading
from registry_mesh.content.nest.unproven import Ranges, refused
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobSource, FileSlice, Piece, Provenance, Reading
from registry_mesh.ports.failures import (
    Failure,
    NotHeld,
    SourceLied,
    SpanUnsatisfiable,
    StoreBroken,
    StoreFull,
)
from registry_mesh.ports.hops import Asks, asked
from registry_mesh.ports.place import Place
from registry_mesh.ports.shared import NearBlobs


def _nobody(*_: object) -> None:
    """Nobody is told."""


def _nowhere(digest: Digest) -> bool:
    """Clients cannot be sent anywhere."""
    return False


ANYBODYS: Final = Anybodys()


class PullThrough:
    """Blobs of `store`, and of `source` by way of `store`. One per repository; `fills` is the process's.

    `redirects` tells of a blob, without asking anybody, whether `store` can send clients elsewhere for it: they are
    sent there while it is being filled, too. What is here is given as far as `belonging` lets it.
    """

    def __init__(
        self,
        store: NearBlobs,
        source: BlobSource,
        fills: Fills,
        distrust: Distrust = _nobody,
        place: Place | None = None,
        redirects: Callable[[Digest], bool] = _nowhere,
        doubt: Doubt = _nobody,
        belonging: Belonging = ANYBODYS,
        ranges: Ranges = Ranges.UNPROVEN,
        rivals: Rivals = NO_RIVALS,
        brought_by: BlobSource | None = None,
        signed: SignedRoot = nothing_is_signed,
    ) -> None:
        """`brought_by`: where fills take bytes from, if not from `source`. `signed`: which chunk maps are signed, by
        one whom every reader of `store` trusts."""
        self._ranges = ranges
        self._belonging = belonging
        registry = place.registry if place is not None else ""
        self.via = Via(registry, brought_by or source, distrust, doubt, place, rivals, belonging.gave, signed)
        self._past_store = Via(registry, source, distrust, doubt, place, rivals)
        self._redirects = redirects
        self._store = store
        self._source = source
        self._fills = fills
        self._maps = MapsPassedOn(store, source, fills, belonging)
        self._sizes: LRUCache[Digest, int] = LRUCache(4096)

    async def stat(self, digest: Digest) -> BlobInfo:
        """From what is held, or on its way in; else one question to the source, whose answer is taken for a hint and
        believed until bytes come. What a manifest says of a blob is no answer."""
        if digest.is_of_nothing:
            return BlobInfo(digest, 0)
        held = await self._size_here(digest)
        if held:
            await self._belonging.demand(digest)
            return BlobInfo(digest, held)
        if asked().nobody:
            raise NotHeld(NOT_HELD)
        size = self._sizes.get(digest)
        if size is not None:
            return BlobInfo(digest, size)
        told = await self._told(digest)
        self._sizes[digest] = told.size
        await self._belonging.given(digest)
        return BlobInfo(digest, told.size, Provenance(hit=False, source=told.provenance.source))

    async def _size_here(self, digest: Digest) -> int | None:
        try:
            return (await self._store.stat(digest)).size
        except (BlobUnknown, StoreBroken):
            fill = self._fills.get(digest)
            return fill.size if fill else await self._held_size(digest)

    async def _held_size(self, digest: Digest) -> int | None:
        try:
            return await self._store.held_size(digest) or None
        except StoreBroken:
            return None

    async def _told(self, digest: Digest) -> BlobInfo:
        """By HEAD; by GET where that says nothing, or something else than a manifest does."""
        told = await self._source.stat(digest)
        if told.size and await self._said(digest) in (told.size, None):
            return told
        async with opened_with_bytes(digest, self.via, None) as reading:
            return BlobInfo(digest, reading.info.size, reading.provenance)

    async def _said(self, digest: Digest) -> int | None:
        try:
            said = await self._store.said_size(digest)
        except StoreBroken:
            return None
        return said.size if said is not None else None

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """The store's, or that of the fill under way, else the source's; None where the source cannot be asked, or has
        none that can be used: what is held of the blob is given all the same."""
        return await self._maps.of(digest, span)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Held, or filling, or past the store where that cannot hold it."""
        async with AsyncExitStack() as stack:
            if digest.is_of_nothing:
                yield EmptyReading(digest, BlobInfo(digest, 0).clip(span))
            elif asked().nobody:
                yield await self._held(stack, digest, span) or await self._here(stack, digest, span)
            else:
                yield await self._held(stack, digest, span) or await self._filling(stack, digest, span)

    async def _held(self, stack: AsyncExitStack, digest: Digest, span: Span | None) -> Reading | None:
        filling = self._fills.get(digest) is not None or self._fills.begins(digest, self.via)
        if filling and not self._redirects(digest):
            return None
        try:
            reading = await stack.enter_async_context(self._store.open(digest, span))
        except (BlobUnknown, StoreBroken):
            return None
        except SpanUnsatisfiable:  # it tells that the blob is held, and its size
            await self._belonging.demand(digest)
            raise
        await self._belonging.demand(digest)
        return reading

    async def _filling(self, stack: AsyncExitStack, digest: Digest, span: Span | None) -> Reading:
        await self._belonging.before(digest)
        fill = self._fills.get(digest)
        begins = fill is None
        if fill is None:
            try:
                fill = await self._join(digest, span)
            except (StoreFull, StoreBroken) as fault:
                past = await self._past(stack, digest, span)
                self._note(fault, digest, past.info.size)
                return past
        # Before anything is waited for: it may be closed meanwhile.
        opened = stack.enter_context(fill.open_readings.begin())
        mine = self.via.place in fill.given_by
        await (self._belonging.given if mine else self._belonging.demand)(digest)
        self._sizes[digest] = fill.size
        clipped = BlobInfo(digest, fill.size).clip(span)
        came = begins and fill.state.fetched > 0  # for us: it may all be here before we look
        return FillReading(
            self, fill, opened, clipped, hit=fill.held(clipped) == clipped and not came, joined=not begins
        )

    async def _here(self, stack: AsyncExitStack, digest: Digest, span: Span | None) -> Reading:
        """Of a blob that is held in part, or on its way in, what could leave now. `NotHeld`."""
        if await self._size_here(digest):
            fill = await self._join(digest, span)
            opened = stack.enter_context(fill.open_readings.begin())
            clipped = BlobInfo(digest, fill.size).clip(span)
            given = fill.held(clipped)
            if given == clipped or (given and self._may_be_less(fill, given, span)):
                await self._belonging.demand(digest)
                return FillReading(self, fill, opened, given, hit=True)
        raise NotHeld(NOT_HELD)

    def _may_be_less(self, fill: Fill, given: Span, span: Span | None) -> bool:
        """Whether the beginning of the span that was asked for is an answer."""
        return span is not None and asked() is Asks.BEGINNING and not self._withheld(fill, given)

    async def _join(self, digest: Digest, span: Span | None) -> Fill:
        return await self._fills.join(digest, self.via, span)

    async def _past(self, stack: AsyncExitStack, digest: Digest, span: Span | None) -> Reading:
        """A reading past the store. Its size is what the first stream says, with which it goes on."""
        proven = await self._is_proven(digest, span)
        aligned = None if span is None else Span(span.start // CHUNK * CHUNK, span.stop)
        opened = await stack.enter_async_context(opened_with_bytes(digest, self._past_store, aligned))
        return PastReading(self, opened, opened.info.clip(span), proven=proven)

    def _note(self, fault: Failure, digest: Digest, size: int) -> None:
        """A reader goes past the store, as `fault` says."""
        if isinstance(fault, StoreFull):
            self._fills.unkept.note(digest, self.via.place, size)

    async def _is_proven(self, digest: Digest, span: Span | None) -> bool:
        """Whether a span past the store is proven; refused where nothing else is to be given."""
        if span is None or await self._source.chunk_map(digest, span) is not None:
            return True
        if self._ranges is not Ranges.UNPROVEN:
            raise refused(digest)
        return False

    def unproven(self, fill: Fill, span: Span) -> bool:
        """Whether nothing proves what of `span` leaves the fill now."""
        return len(span) < fill.size and not (fill.proves or fill.withholds(span))

    def _withheld(self, fill: Fill, span: Span) -> bool:
        """Whether nothing proves what of `span` leaves the fill now, and it is not to leave so. Where it is disputed
        what the blob is it never is, be it all of it."""
        if fill.withholds(span):
            return not fill.proves
        return self._ranges is not Ranges.UNPROVEN and self.unproven(fill, span)

    async def pieces(self, fill: Fill, span: Span) -> AsyncGenerator[Piece, None]:
        """The span's bytes, proven where nothing else is to be given."""
        position, whole = span.start, len(span) == fill.size
        async with aclosing(self._followed(fill, span)) as pieces:
            async for piece in pieces:
                if self._withheld(fill, span if whole else Span(position, span.stop)):
                    break
                yield piece
                position += len(piece)
        if position < span.stop:
            rest = Span(position, span.stop)
            async for piece in self._whole_first(fill, rest, whole=whole):
                yield piece

    async def _whole_first(self, fill: Fill, span: Span, *, whole: bool) -> AsyncGenerator[Piece, None]:
        """The span of the blob once it is here whole and has its digest. Of a `whole` one, past a store that has no
        room for it, the last piece is withheld instead."""
        if self._ranges is Ranges.REFUSE and not whole:
            raise refused(fill.digest)
        if fill.state.phase is not Phase.UNSTORABLE:
            await self._brought(fill)
        async with AsyncExitStack() as stack:
            try:
                reading = await stack.enter_async_context(self._store.open(fill.digest, span))
            except BlobUnknown:
                if not whole:
                    raise refused(fill.digest) from None
                async for data in self._rest(fill, 0, span):
                    yield data
                return
            async for piece in reading.pieces():
                yield piece

    async def _brought(self, fill: Fill) -> None:
        """Have all of it brought in and proven. Nobody sees any of it before: of another source, where one lied."""
        with ExitStack() as opened:
            for attempt in range(ATTEMPTS):
                try:
                    async for _ in self._followed(fill, Span(0, fill.size)):
                        pass
                    return
                except SourceLied:
                    if attempt == ATTEMPTS - 1:
                        raise
                fill = await self._joined_again(fill, Span(0, fill.size), opened)

    async def _joined_again(self, fill: Fill, span: Span, opened: ExitStack) -> Fill:
        """The fill that takes the place of one that was a lie. `SourceLied` where it is of another size: the answer's
        head is made."""
        again = await self._join(fill.digest, span)
        if again.size != fill.size:
            raise SourceLied(f"named {fill.size} bytes, and then {again.size}")
        opened.enter_context(again.open_readings.begin())
        return again

    async def _followed(self, fill: Fill, span: Span) -> AsyncGenerator[Piece, None]:
        """Follow `fill`; on past the store when that fails, on to a new fill when a source lied."""
        position = span.start
        with ExitStack() as opened:
            for attempt in range(ATTEMPTS):
                try:
                    async for piece in fill.follow(Span(position, span.stop), self.via):
                        position += len(piece)
                        yield piece
                    return
                except (StoreFull, StoreBroken) as fault:
                    self._note(fault, fill.digest, fill.size)
                    break
                except SourceLied:
                    if position > span.start or attempt == ATTEMPTS - 1:
                        raise
                fill = await self._joined_again(fill, span, opened)
            async for data in self._rest(fill, span.start, Span(position, span.stop)):
                yield data

    async def _rest(self, fill: Fill, begun: int, span: Span) -> AsyncIterator[bytes]:
        """The span past the store, of a reader that began at `begun`."""
        hashed = await fill.hashed(span.start) if begun == 0 else None
        info = BlobInfo(fill.digest, fill.size)
        async for data in bypass(self._source, info, span, self.via.distrust, hashed):
            yield data

    def past(self, opened: Reading, span: Span) -> AsyncIterator[bytes]:
        """Past the store, beginning with what is opened."""
        return bypass(self._source, opened.info, span, self.via.distrust, opened=opened)

    def ready(self, fill: Fill, span: Span) -> FileSlice | None:
        """See `Reading.ready`."""
        if self._withheld(fill, span):
            return None
        return fill.ready(span, self.via)
