"""From pieces to bytes, for those who need the bytes themselves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from registry_mesh.ports.blobs import PIECE, FileSlice, Reading
from registry_mesh.ports.failures import SourceLied


async def in_memory(reading: Reading) -> AsyncIterator[bytes]:
    """The reading's bytes in pieces of at most `PIECE`."""
    async for piece in reading.pieces():
        if not isinstance(piece, FileSlice):
            yield piece
            continue
        start = piece.start
        while start < piece.stop:
            data = await asyncio.to_thread(os.pread, piece.fd, min(PIECE, piece.stop - start), start)
            if not data:
                raise SourceLied("a stored file is shorter than its blob")
            start += len(data)
            yield data


async def whole(reading: Reading, limit: int) -> bytes:
    """All of it; `SourceLied` beyond `limit` bytes."""
    if len(reading.span) > limit:
        raise SourceLied(f"{len(reading.span)} bytes where at most {limit} were expected")
    return b"".join([piece async for piece in in_memory(reading)])
