"""From pieces to bytes, and from bytes to a stored blob."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import PIECE, BlobInfo, BlobStore, FileSlice, Pieces, Reading
from registry_mesh.ports.failures import SourceLied
from registry_mesh.tasks.threads import offload


async def in_memory(reading: Pieces) -> AsyncIterator[bytes]:
    """The reading's bytes in pieces of at most `PIECE`. `SourceLied` where a stored file has become shorter."""
    async for piece in reading.pieces():
        if not isinstance(piece, FileSlice):
            yield piece
            continue
        start = piece.start
        while start < piece.stop:
            data = await offload(os.pread, piece.fd, min(PIECE, piece.stop - start), start)
            if not data:
                raise SourceLied("a stored file is shorter than its blob")
            start += len(data)
            yield data


async def whole(reading: Reading, limit: int) -> bytes:
    """All of it; `SourceLied` beyond `limit` bytes."""
    if len(reading.span) > limit:
        raise SourceLied(f"{len(reading.span)} bytes where at most {limit} were expected")
    return b"".join([piece async for piece in in_memory(reading)])


async def put(store: BlobStore, digest: Digest, data: bytes) -> BlobInfo:
    """Make `data` a blob of the store. `DigestInvalid` where it is not `digest`; `StoreFull`, `StoreBroken`."""
    async with store.ingest(digest, len(data), digest.algorithm) as ingest:
        for start in range(0, len(data), PIECE):
            await ingest.write(data[start : start + PIECE])
        return await ingest.commit(digest)
