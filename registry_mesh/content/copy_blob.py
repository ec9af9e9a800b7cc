"""One blob, from a source into a store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from registry_mesh.content.errors import SourceLied, SourceUnavailable
from registry_mesh.content.pieces import in_memory
from registry_mesh.content.ports import BlobSource, BlobStore, Ingest
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.errors import BlobUnknown, DigestInvalid
from registry_mesh.oci.span import Span

TRIES: Final = 4
"""Attempts in a row that bring no byte before giving up."""

Moved = Callable[[int], None]
"""Told how many bytes came; a negative number takes back bytes that turned out wrong."""


async def is_held(store: BlobStore, blob: Descriptor) -> bool:
    """Whether the store has it. `SourceLied` where it has, with another size than the descriptor says: a digest
    has one size, so the descriptor is wrong."""
    try:
        info = await store.stat(blob.digest)
    except BlobUnknown:
        return False
    if info.size != blob.size:
        raise SourceLied(f"{blob.digest} has {info.size} bytes and is said to have {blob.size}")
    return True


async def copy_blob(source: BlobSource, store: BlobStore, blob: Descriptor, moved: Moved) -> None:
    """Bring it in. A stream that breaks is resumed at the same byte; wrong bytes are thrown away and asked for
    once more, since another parent may answer. `SourceLied`, `SourceUnavailable`, and what both sides raise."""
    for last in (False, True):
        try:
            await _attempt(source, store, blob, moved)
            return
        except SourceLied:
            if last:
                raise


async def _attempt(source: BlobSource, store: BlobStore, blob: Descriptor, moved: Moved) -> None:
    async with store.ingest(blob.digest, blob.size, blob.digest.algorithm) as ingest:
        came = 0

        def count(size: int) -> None:
            nonlocal came
            came += size
            moved(size)

        try:
            await _stream(source, ingest, blob, count)
            await ingest.commit(blob.digest)
        except BaseException as fault:
            moved(-came)
            if isinstance(fault, DigestInvalid):
                raise SourceLied(f"other bytes than those of {blob.digest}") from None
            raise


async def _stream(source: BlobSource, ingest: Ingest, blob: Descriptor, moved: Moved) -> None:
    idle = 0
    while ingest.offset < blob.size:
        before = ingest.offset
        try:
            await _read(source, ingest, blob, moved)
            if ingest.offset < blob.size:
                raise SourceUnavailable(
                    f"the stream of {blob.digest} ended at {ingest.offset} of {blob.size} bytes"
                )
        except SourceUnavailable:
            idle = 0 if ingest.offset > before else idle + 1
            if idle >= TRIES:
                raise
            await asyncio.sleep(0.05 * 2**idle if idle else 0)


async def _read(source: BlobSource, ingest: Ingest, blob: Descriptor, moved: Moved) -> None:
    span = Span(ingest.offset, blob.size) if ingest.offset else None
    async with source.open(blob.digest, span) as reading:
        if reading.info.size != blob.size:
            raise SourceLied(f"{blob.digest} has {reading.info.size} bytes there, {blob.size} are named")
        async for data in in_memory(reading):
            if ingest.offset + len(data) > blob.size:
                raise SourceLied(f"more than the {blob.size} bytes of {blob.digest} came")
            await ingest.write(data)
            moved(len(data))
