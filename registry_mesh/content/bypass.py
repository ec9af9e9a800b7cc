"""Reading past the store: for when it has no room or is broken. Pulls go on, nothing is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, count
from registry_mesh.content.errors import SourceLied, SourceUnavailable
from registry_mesh.content.pieces import in_memory
from registry_mesh.content.ports import BlobInfo, BlobSource
from registry_mesh.oci.digest import Hasher
from registry_mesh.oci.span import Span

TRIES = 4


async def bypass(source: BlobSource, info: BlobInfo, span: Span) -> AsyncIterator[bytes]:
    """The span from `source`, as proven as can be without keeping it.

    With a chunk map every chunk is checked in memory before it is given. Without one, a reader of the whole
    blob gets its last piece only when the digest fitted; a part of a blob cannot be proven.
    """
    chunk_map = await source.chunk_map(info.digest)
    if chunk_map is not None and chunk_map.size == info.size:
        async for data in _by_chunks(source, info, span, chunk_map):
            yield data
        return
    whole = span.start == 0 and span.stop == info.size
    hasher = info.digest.hasher() if whole else None
    kept = b""
    async for data in _stream(source, info, span):
        if kept:
            yield kept
        if hasher is not None:
            await asyncio.to_thread(hasher.update, data)
        kept = data
    _check(hasher, info)
    if kept:
        yield kept


def _check(hasher: Hasher | None, info: BlobInfo) -> None:
    if hasher is not None and hasher.hexdigest() != info.digest.hex:
        raise SourceLied("the bytes that came do not have the digest asked for")


async def _stream(source: BlobSource, info: BlobInfo, span: Span) -> AsyncIterator[bytes]:
    """Bytes in order, resumed at the same byte when the stream breaks."""
    position, idle = span.start, 0
    while position < span.stop:
        before = position
        try:
            async with source.open(info.digest, Span(position, span.stop)) as reading:
                async for data in in_memory(reading):
                    position += len(data)
                    yield data
            if position < span.stop:
                raise SourceUnavailable("the stream ended early", source=reading.provenance.source)
        except SourceUnavailable:
            idle = 0 if position > before else idle + 1
            if idle >= TRIES:
                raise


async def _by_chunks(
    source: BlobSource, info: BlobInfo, span: Span, chunk_map: ChunkMap
) -> AsyncIterator[bytes]:
    aligned = span.align(CHUNK, info.size)
    buffer = bytearray()
    index, last = aligned.start // CHUNK, count(aligned.stop)
    async for data in _stream(source, info, aligned):
        buffer += data
        while index < last and len(buffer) >= (need := min(CHUNK, info.size - index * CHUNK)):
            chunk = bytes(buffer[:need])
            del buffer[:need]
            if not await asyncio.to_thread(chunk_map.proves, index, chunk):
                raise SourceLied(f"chunk {index} does not fit the chunk map")
            offset = index * CHUNK
            part = span.clip(Span(offset, offset + need))
            yield chunk[part.start - offset : part.stop - offset]
            index += 1
