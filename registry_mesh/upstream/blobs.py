"""Blobs of a repository of a parent (distribution-spec, "Pulling Blobs"; RFC 9110 section 14)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap, ChunkMapInvalid
from registry_mesh.chunks.map_format import MEDIA_TYPE, OLD_MEDIA_TYPE, decode
from registry_mesh.chunks.sums import NEWEST, SumAlgorithm
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import TO_END, BlobInfo
from registry_mesh.ports.failures import (
    Failure,
    SourceDenied,
    SourceErred,
    SourceLied,
    SourceRefused,
    SourceUnavailable,
    SourceUnreadable,
    SpanUnsatisfiable,
)
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.blob_answers import (
    is_in_doubt,
    is_labelled,
    is_no_answer,
    is_page,
    part,
    tells_no_size,
    total,
    unsatisfied,
)
from registry_mesh.upstream.blob_reading import BlobReading
from registry_mesh.upstream.codings import codings
from registry_mesh.upstream.heads import Asked
from registry_mesh.upstream.repository import ParentRepository
from registry_mesh.upstream.unpacked import Unpacked, counted

ACCEPT: Final = f"{MEDIA_TYPE}, {OLD_MEDIA_TYPE};q=0.5" if NEWEST is SumAlgorithm.BLAKE3 else OLD_MEDIA_TYPE
CHUNK_MAP_LIMIT: Final = 64 << 20


class ParentBlobs:
    """Implements `ports.blobs.BlobSource`."""

    def __init__(self, parent: ParentRepository) -> None:
        self._parent = parent
        self._source = parent.source
        self._heads = parent.session.heads
        self._takes_beginnings = parent.takes_beginnings

    async def stat(self, digest: Digest) -> BlobInfo:
        """The size by one HEAD; where that says nothing, by one GET."""
        size, beyond = await self._said(digest)
        return BlobInfo(digest, size or await self._got(digest, beyond), self._parent.here)

    async def _said(self, digest: Digest) -> tuple[int | None, float]:
        """What HEAD says, None where it fails, too; and the seconds that it took in vain."""
        try:
            return await self._headed(digest), 0.0
        except Failure as fault:
            if not self._parent.leaves_to_get(fault):
                raise
            return None, self._parent.beyond(fault)

    async def _headed(self, digest: Digest) -> int | None:
        """What HEAD says; None where that is nothing. `BlobUnknown` of a parent of our own kind alone: others say 404
        to HEAD and 200 to GET."""
        if not self._heads.worth(Asked.BLOBS):
            return None
        async with self._parent.request("HEAD", Endpoint.BLOB, str(digest)) as answer:
            if answer.status == 404 and self._parent.session.mesh:
                raise self._unknown(digest)
            packed = codings(answer.field("Content-Encoding"))  # the length may be of what it was packed to
            return answer.length if answer.status == 200 and not packed and not is_page(answer) else None

    async def _got(self, digest: Digest, beyond: float = 0.0) -> int:
        """By GET of one byte. A registry that knows no ranges sends all, and is hung up once the head tells the size.
        Where no head tells it, the body is read to its end and counted."""
        if (counted := self._heads.counted.get(digest)) is not None:
            return counted
        size = await self._told(digest, {"Range": "bytes=0-0"}, beyond)
        if size is None:
            size = await self._told(digest, {})
        if size is None:
            raise SourceUnavailable("told no length", source=self._source)
        self._heads.useless(Asked.BLOBS)
        return size

    async def _told(
        self, digest: Digest, headers: Mapping[str, str], beyond: float = 0.0, *, counts: bool = False
    ) -> int | None:
        """What the head of an answer to GET says; where it says nothing, what is `counted`, as it is in any case with
        `counts`."""
        headers = {"Accept": "*/*", **headers}
        async with self._parent.request("GET", Endpoint.BLOB, str(digest), headers, beyond=beyond) as answer:
            if answer.status == 404:
                raise self._unknown(digest)
            if "Range" in headers and answer.status in (206, 416):
                return total(answer)
            self._parent.expect(answer, 200, BlobUnknown)
            if is_page(answer):
                raise self._page()
            counts = counts or (is_labelled(answer) and is_in_doubt(answer, None))
            return await self._counted(digest, answer) if counts or answer.length is None else answer.length

    async def _counted(self, digest: Digest, answer: Answer) -> int:
        size, packed = await counted(answer, digest)
        self._heads.counted[digest] = size
        if packed:
            self._heads.packed[digest] = None
        return size

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[BlobReading]:
        """An answer that does not tell the size, or whether its body is compressed on the way, is left, and asked for
        again once that is known otherwise: it would not outlast the counting. The digest proves the bytes all the
        same."""
        headers = {"Accept": "*/*"}
        asked = (
            Span(span.start, span.start + 1) if span is not None and not span else span
        )  # no Range is empty
        if asked is not None:
            headers["Range"] = f"bytes={asked.start}-{'' if asked.stop >= TO_END else asked.stop - 1}"
        told = self._heads.counted.get(digest)
        async with AsyncExitStack() as stack:
            answer = await self._ranged(stack, digest, headers, span)
            if answer.status == 416:
                raise self._unsatisfiable(answer)
            if told is None and (tells_no_size(answer) or is_labelled(answer)):
                told, _ = await self._said(digest)
                counts = is_labelled(answer) and (
                    asked is not None or await self._is_in_doubt(answer, digest, told)
                )
                if counts or (tells_no_size(answer) and not told):
                    await stack.aclose()
                    told = await (self._told(digest, {}, counts=True) if counts else self._got(digest))
                    answer = await self._opened(stack, digest, headers)
            reading = self._reading(answer, digest, asked, told)
            yield reading if span is None or asked is span else BlobReading(answer, reading.info, span, 1)

    async def _is_in_doubt(self, answer: Answer, digest: Digest, headed: int | None) -> bool:
        """Whether the body of a labelled answer is to be read to its end first. Where HEAD has the label, too, a range
        tells the size of what is stored; buckets, which label layers for what they are, know ranges."""
        again = digest in self._heads.labelled
        self._heads.labelled[digest] = None
        if again or is_in_doubt(answer, headed):
            return True
        return headed is None and not await self._is_stored(digest, answer.length)

    async def _is_stored(self, digest: Digest, length: int | None) -> bool:
        """Whether a range is of so many bytes, or cannot be asked for."""
        headers = {"Accept": "*/*", "Range": "bytes=0-0"}
        try:
            async with self._parent.request("GET", Endpoint.BLOB, str(digest), headers) as answer:
                return total(answer) == length if answer.status == 206 else answer.status != 200
        except Failure:
            return True

    async def _ranged(
        self, stack: AsyncExitStack, digest: Digest, headers: Mapping[str, str], span: Span | None
    ) -> Answer:
        """The answer to a range; to the whole, where it has none that makes sense, refuses it, as the proxy before it
        may, or an address that is signed without it, or fails at it."""
        try:
            answer = await self._opened(stack, digest, headers)
            if span is None or not is_no_answer(answer, self._least(span)):
                return answer
        except (SourceDenied, SourceRefused, SourceErred):
            if span is None:
                raise
        await stack.aclose()
        return await self._opened(stack, digest, {"Accept": "*/*"})

    def _least(self, span: Span) -> Span:
        """What an answer has to hold of a span."""
        return Span(span.start, span.start + 1) if self._takes_beginnings else span

    async def _opened(self, stack: AsyncExitStack, digest: Digest, headers: Mapping[str, str]) -> Answer:
        request = self._parent.request("GET", Endpoint.BLOB, str(digest), headers)
        answer = await stack.enter_async_context(request)
        if answer.status == 404:
            raise self._unknown(digest)
        return answer

    def _unknown(self, digest: Digest) -> BlobUnknown:
        """The same words to HEAD and to GET: clients are told the length of them."""
        return BlobUnknown(f"{self._source} does not have it", digest=str(digest))

    def _page(self) -> SourceUnreadable:
        return SourceUnreadable("sent a web page in place of a blob", source=self._source)

    def _unsatisfiable(self, answer: Answer) -> Exception:
        size = unsatisfied(answer)
        if size is None:
            return SourceUnreadable("answered 416 without the size", source=self._source)
        return SpanUnsatisfiable(size)

    def _reading(self, answer: Answer, digest: Digest, span: Span | None, told: int | None) -> BlobReading:
        """Check the head. Of an answer with more than was asked for the rest is passed over."""
        if answer.status == 200:
            if span is not None and is_page(answer):
                raise self._page()
            packed = digest in self._heads.packed and is_labelled(answer)
            size = self._sized(told) if packed or answer.length is None else answer.length
            wanted = span or Span(0, size)
            if wanted.start >= size and size:
                raise SpanUnsatisfiable(size)
            clipped = Span(min(wanted.start, size), min(wanted.stop, size))
            body = Unpacked(answer) if packed else answer
            return BlobReading(body, BlobInfo(digest, size), clipped, clipped.start)
        if answer.status != 206:
            raise SourceUnavailable(f"answered {answer.status} to a blob", source=self._source)
        found = part(answer)
        if found is None:
            raise SourceUnreadable("answered 206 without a Content-Range that fits", source=self._source)
        first, end = found.first, found.last + 1
        size = self._sized(told) if found.size is None else found.size
        wanted = span or Span(0, size)
        stop = min(wanted.stop, end if self._takes_beginnings else size, size)
        clipped = Span(wanted.start, max(wanted.start, stop))
        if not first <= clipped.start <= clipped.stop <= end <= size:
            asked = f"{span} was asked for" if span else "all was asked for"
            raise SourceLied(f"answered bytes {first}-{end - 1}/{size} where {asked}", source=self._source)
        return BlobReading(answer, BlobInfo(digest, size), clipped, clipped.start - first)

    def _sized(self, told: int | None) -> int:
        if told is None:
            raise SourceUnavailable("told no length", source=self._source)
        return told

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """From a parent of our own kind, of either version; None from any other. Which it is tells its first
        answer."""
        session = self._parent.session
        if session.mesh is None and not await session.parent.answers():
            raise SourceUnavailable("has not answered yet", source=self._source)
        if not session.mesh:
            return None
        wanted = {} if span is None else {"span": str(span)}
        async with self._parent.request(
            "GET", Endpoint.CHUNK_MAP, str(digest), {"Accept": ACCEPT}, wanted
        ) as answer:
            if answer.status == 404:
                return None
            self._parent.expect(answer, 200, BlobUnknown)
            data = await answer.body(CHUNK_MAP_LIMIT)
        try:
            found = decode(data, digest=digest)
        except ChunkMapInvalid as fault:
            raise SourceUnreadable(f"sent a chunk map that is none: {fault}", source=self._source) from None
        if not found.covers(span):
            raise SourceUnreadable("sent a chunk map without the pages asked for", source=self._source)
        return found
