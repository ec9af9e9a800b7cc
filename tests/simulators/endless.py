"""A registry on a real socket whose blobs are far larger than any disk here: their bytes follow from where they are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest

_BLOB: Final = re.compile(r"/blobs/(\S+)")
_RANGE: Final = re.compile(r"\r\nrange: bytes=(\d+)-(\d*)", re.IGNORECASE)


def bytes_at(digest: Digest, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of the blob: each chunk says which one it is of."""
    first = start // CHUNK
    chunks = b"".join(_chunk(digest, index) for index in range(first, -(-stop // CHUNK)))
    return chunks[start - first * CHUNK : stop - first * CHUNK]


def _chunk(digest: Digest, index: int) -> bytes:
    line = f"{digest.hex[:16]} {index:>14}\n".encode()
    return line * (CHUNK // len(line))


@dataclass
class EndlessRegistry:
    """`sizes` of its blobs. Counts what it sends."""

    sizes: Mapping[Digest, int]
    url: str = ""
    asked: int = 0
    sent: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        named = _BLOB.search(head)
        if named is None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return
        digest = Digest.parse(named[1])
        size, found = self.sizes[digest], _RANGE.search(head)
        first = int(found[1]) if found else 0
        stop = min(size, int(found[2]) + 1) if found and found[2] else size
        said = f"206 Partial Content\r\nContent-Range: bytes {first}-{stop - 1}/{size}" if found else "200 OK"
        writer.write(f"HTTP/1.1 {said}\r\nContent-Length: {stop - first}\r\n\r\n".encode())
        if head.startswith("HEAD"):
            return
        self.asked += 1
        for start in range(first, stop, 2 * CHUNK):
            part = bytes_at(digest, start, min(stop, start + 2 * CHUNK))
            writer.write(part)
            await writer.drain()
            self.sent += len(part)


@asynccontextmanager
async def endless_registry(sizes: Mapping[Digest, int]) -> AsyncIterator[EndlessRegistry]:
    registry = EndlessRegistry(sizes)
    listening = await asyncio.start_server(registry, "127.0.0.1", 0)
    registry.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield registry
    finally:
        listening.close()
