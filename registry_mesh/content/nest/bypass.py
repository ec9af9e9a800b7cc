"""Reading past the store: for when it has no room or is broken. Pulls go on, nothing is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from time import monotonic

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, ChunkMapsDiffer, count
from registry_mesh.chunks.cutter import Cutter
from registry_mesh.content.fill.map_request import is_withheld
from registry_mesh.content.fill.policy import MAP_WAIT
from registry_mesh.content.fill.retries import Retries
from registry_mesh.content.fill.via import Distrust
from registry_mesh.oci.digest import Hasher
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobSource, Reading
from registry_mesh.ports.failures import (
    Failure,
    MapsDisputed,
    MapUnusable,
    SourceDiffers,
    SourceLied,
    SourceUnavailable,
    SpanUnsatisfiable,
)
from registry_mesh.ports.pieces import in_memory

TRIES = 4
"""Streams, in each of which a chunk is wrong, before it is given up."""


async def bypass(
    source: BlobSource,
    info: BlobInfo,
    span: Span,
    distrust: Distrust,
    before: tuple[Hasher, int] | None = None,
    opened: Reading | None = None,
) -> AsyncIterator[bytes]:
    """The span from `source`, as proven as can be without keeping it.

    With a chunk map every chunk is checked in memory before it is given, and asked for again where it is wrong:
    `distrust` is told, so that another answers. With a map or without, a reader of the whole blob gets its last
    piece only when the digest fitted; without one, a part of a blob cannot be proven. `before`, where the span is
    the rest of a blob: a hasher, and the offset it has come to; what lies between is asked for again. `opened`: the
    first stream, which begins with the chunk that the span begins in.
    """
    if before is None and span.start == 0:
        before = info.digest.hasher(), 0
    start = span.start if opened is None else opened.span.start
    hasher, begin = before if before is not None and span.stop == info.size else (None, start)
    senders: set[str] = set()
    passed = span.start - begin
    kept = b""
    wanted = Span(begin, span.stop)
    pieces = _pieces(source, info, wanted, distrust, senders, opened, hashed=hasher is not None)
    async for data in pieces:
        if kept:
            yield kept
        if hasher is not None:
            await asyncio.to_thread(hasher.update, data)
        kept, passed = data[passed:], max(0, passed - len(data))
    if hasher is not None and hasher.hexdigest() != info.digest.hex:
        raise _lie(senders, info, distrust, "the bytes that came do not have the digest asked for")
    if kept:
        yield kept


async def _pieces(
    source: BlobSource,
    info: BlobInfo,
    span: Span,
    distrust: Distrust,
    senders: set[str],
    opened: Reading | None,
    *,
    hashed: bool,
) -> AsyncGenerator[bytes, None]:
    """The span's bytes, proven chunk by chunk where there is a map. Sources that send are added to `senders`. `hashed`:
    the digest of the whole tells in the end."""
    chunk_map = await _map(source, info, span)
    if chunk_map is None or chunk_map.size != info.size:
        pieces = _stream(source, info, span, senders, opened)
    else:
        pieces = _by_chunks(source, info, span, chunk_map, distrust, senders, opened, hashed=hashed)
    async with aclosing(pieces):
        async for data in pieces:
            yield data


async def _map(source: BlobSource, info: BlobInfo, span: Span) -> ChunkMap | None:
    """Of the span; a whole blob, which its digest proves, needs none."""
    if len(span) < info.size:
        return await source.chunk_map(info.digest, span)
    try:
        async with asyncio.timeout(MAP_WAIT):
            return await source.chunk_map(info.digest)
    except (MapUnusable, TimeoutError):
        return None
    except Failure as failure:
        if not is_withheld(failure, whole=True):
            raise
        return None


def _lie(senders: set[str], info: BlobInfo, distrust: Distrust, reason: str) -> SourceLied:
    source = ", ".join(sorted(filter(None, senders)))
    distrust(source, info.digest, reason)
    return SourceLied(reason, source=source)


async def _stream(
    source: BlobSource, info: BlobInfo, span: Span, senders: set[str], opened: Reading | None
) -> AsyncGenerator[bytes, None]:
    """The span's bytes as they come, first those of `opened`; goes on at the same byte where a stream breaks off. Who
    sends is added to `senders`."""
    position, retries = span.start, Retries(random.random)
    while position < span.stop:
        before = position
        try:
            async with _opened(source, info, Span(position, span.stop), opened) as reading:
                opened = None
                senders.add(reading.provenance.source)
                async for data in in_memory(reading):
                    data = data[: span.stop - position]
                    position += len(data)
                    yield data
            if position < span.stop:
                raise SourceUnavailable("the stream ended early", source=reading.provenance.source)
        except SourceUnavailable as failure:
            pause = retries.after(failure, position - before, span.stop - before, monotonic()).pause
            if pause is None:
                raise
            await asyncio.sleep(pause)


@asynccontextmanager
async def _opened(
    source: BlobSource, info: BlobInfo, span: Span, opened: Reading | None
) -> AsyncIterator[Reading]:
    """What is opened, where it begins there; else the span anew. `SourceDiffers` where the blob has another size."""
    if opened is not None and opened.span.start == span.start:
        yield opened
        return
    try:
        async with source.open(info.digest, span) as reading:
            if reading.info.size != info.size:
                raise SpanUnsatisfiable(reading.info.size)
            yield reading
    except SpanUnsatisfiable as other:
        raise SourceDiffers(f"{other.reason}; what is being sent has {info.size}") from None


async def _by_chunks(
    source: BlobSource,
    info: BlobInfo,
    span: Span,
    chunk_map: ChunkMap,
    distrust: Distrust,
    senders: set[str],
    opened: Reading | None,
    *,
    hashed: bool,
) -> AsyncGenerator[bytes, None]:
    """Where a chunk comes twice alike and does not fit, the map is as likely wrong: `hashed` bytes go on without it."""
    checked, wrong = True, b""
    aligned = span.align(CHUNK, info.size)
    index, last = aligned.start // CHUNK, count(aligned.stop)
    for _ in range(TRIES):
        blamed: set[str] = set()
        left = Span(index * CHUNK, aligned.stop)
        async with aclosing(_chunks(_stream(source, info, left, blamed, opened), left)) as chunks:
            opened = None
            async for chunk in chunks:
                fits: bool | None = True
                if checked:
                    fits = await asyncio.to_thread(_fits, chunk_map, index, chunk, hashed)
                if fits is False and not (hashed and chunk == wrong):
                    lie = _lie(blamed, info, distrust, f"chunk {index} does not fit the chunk map")
                    wrong = chunk
                    break
                checked = checked and fits is True
                senders |= blamed
                offset = index * CHUNK
                part = span.clip(Span(offset, offset + len(chunk)))
                yield chunk[part.start - offset : part.stop - offset]
                index += 1
        if index >= last:
            return
    raise lie


def _fits(chunk_map: ChunkMap, index: int, chunk: bytes, hashed: bool) -> bool | None:
    """Whether `chunk` is what the map says; None where two maps differ about it, which `hashed` bytes alone survive."""
    try:
        return chunk_map.proves(index, chunk)
    except ChunkMapsDiffer as differ:
        if hashed:
            return None
        raise MapsDisputed(str(differ)) from None


async def _chunks(stream: AsyncGenerator[bytes, None], span: Span) -> AsyncGenerator[bytes, None]:
    """The stream, which is `span`, in whole chunks."""
    cutter = Cutter(span)
    async with aclosing(stream):
        async for data in stream:
            for chunk in cutter.feed(data):
                yield chunk
