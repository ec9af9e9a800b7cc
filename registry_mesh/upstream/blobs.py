"""Blobs of a repository of a parent (distribution-spec, "Pulling Blobs"; RFC 9110 section 14)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap, ChunkMapInvalid
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import TO_END, BlobInfo
from registry_mesh.ports.failures import SourceLied, SourceUnavailable, SpanUnsatisfiable
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.blob_reading import BlobReading
from registry_mesh.upstream.repository import ParentRepository

CHUNK_MAP_LIMIT: Final = 64 << 20

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_UNSATISFIED: Final = re.compile(r"bytes \*/(\d{1,18})")


class ParentBlobs:
    """Implements `ports.blobs.BlobSource`."""

    def __init__(self, parent: ParentRepository) -> None:
        self._parent = parent
        self._source = parent.source

    async def stat(self, digest: Digest) -> BlobInfo:
        async with self._parent.request("HEAD", Endpoint.BLOB, str(digest)) as answer:
            self._parent.expect(answer, 200, BlobUnknown)
            return BlobInfo(digest, self._length(answer))

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[BlobReading]:
        headers = {"Accept": "*/*"}
        if span is not None:
            headers["Range"] = f"bytes={span.start}-{'' if span.stop >= TO_END else span.stop - 1}"
        async with self._parent.request("GET", Endpoint.BLOB, str(digest), headers) as answer:
            if answer.status == 416:
                raise self._unsatisfiable(answer)
            if answer.status == 404:
                raise BlobUnknown(f"{self._source} does not have it", digest=str(digest))
            told = await self._told_apart(answer, digest)
            yield self._reading(answer, digest, span, told)

    async def _told_apart(self, answer: Answer, digest: Digest) -> int | None:
        """The size by HEAD, where an answer in chunks does not tell it; the digest proves the bytes all the same."""
        if answer.status == 200 and answer.length is None:
            return (await self.stat(digest)).size
        return None

    def _unsatisfiable(self, answer: Answer) -> Exception:
        found = _UNSATISFIED.fullmatch(answer.field("Content-Range"))
        if found is None:
            return SourceLied("answered 416 without the size", source=self._source)
        return SpanUnsatisfiable(int(found[1]))

    def _reading(self, answer: Answer, digest: Digest, span: Span | None, told: int | None) -> BlobReading:
        """Check the head. An answer of 200 to a range is used by passing over what was not asked for."""
        if answer.status == 200:
            size = self._length(answer) if told is None else told
            wanted = span or Span(0, size)
            if wanted.start >= size and size:
                raise SpanUnsatisfiable(size)
            clipped = Span(min(wanted.start, size), min(wanted.stop, size))
            return BlobReading(answer, BlobInfo(digest, size), clipped, clipped.start)
        if answer.status != 206 or span is None:
            raise SourceUnavailable(f"answered {answer.status} to a blob", source=self._source)
        found = _CONTENT_RANGE.fullmatch(answer.field("Content-Range"))
        if found is None:
            raise SourceLied("answered 206 without a readable Content-Range", source=self._source)
        first, last, size = (int(group) for group in found.groups())
        clipped = Span(span.start, max(span.start, min(span.stop, size)))
        if (first, last + 1) != (clipped.start, clipped.stop):
            raise SourceLied(
                f"answered bytes {first}-{last}/{size} where {span} was asked for", source=self._source
            )
        if answer.length is not None and answer.length != len(clipped):
            raise SourceLied("Content-Length and Content-Range differ", source=self._source)
        return BlobReading(answer, BlobInfo(digest, size), clipped, 0)

    def _length(self, answer: Answer) -> int:
        if answer.length is None:
            raise SourceUnavailable("told no Content-Length", source=self._source)
        return answer.length

    async def chunk_map(self, digest: Digest) -> ChunkMap | None:
        """From a parent of our own kind; None from any other. Which it is tells its first answer."""
        session = self._parent.session
        if session.mesh is None and not await session.ping():
            raise SourceUnavailable("has not answered yet", source=self._source)
        if not session.mesh:
            return None
        async with self._parent.request("GET", Endpoint.CHUNK_MAP, str(digest)) as answer:
            if answer.status == 404:
                return None
            self._parent.expect(answer, 200, BlobUnknown)
            data = await answer.body(CHUNK_MAP_LIMIT)
        try:
            return ChunkMap.decode(data)
        except ChunkMapInvalid as fault:
            raise SourceLied(f"sent a chunk map that is none: {fault}", source=self._source) from None
