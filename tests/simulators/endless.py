"""A registry on a real socket whose blobs are far larger than any disk here: their bytes follow from where they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from tests.simulators.bare import BareRegistry, answer_head, blob_of, span_of


def bytes_at(digest: Digest, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of the blob: each chunk says which one it is of."""
    first = start // CHUNK
    chunks = b"".join(_chunk(digest, index) for index in range(first, -(-stop // CHUNK)))
    return chunks[start - first * CHUNK : stop - first * CHUNK]


def _chunk(digest: Digest, index: int) -> bytes:
    line = f"{digest.hex[:16]} {index:>14}\n".encode()
    return line * (CHUNK // len(line))


@dataclass
class EndlessRegistry(BareRegistry):
    """`sizes` of its blobs. Counts what it sends; `answering`: bodies that are on their way."""

    sizes: Mapping[Digest, int]
    url: str = ""
    asked: int = 0
    sent: int = 0
    answering: int = 0

    async def answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        if (named := blob_of(head)) is None:
            writer.write(answer_head(None, 2) + b"{}")
            return
        digest = Digest.parse(named)
        size = self.sizes[digest]
        span = span_of(head, size)
        writer.write(answer_head(span, size))
        if head.startswith("HEAD"):
            return
        first, stop = (span.start, span.stop) if span is not None else (0, size)
        self.asked += 1
        self.answering += 1
        try:
            for start in range(first, stop, 2 * CHUNK):
                part = bytes_at(digest, start, min(stop, start + 2 * CHUNK))
                writer.write(part)
                await writer.drain()
                self.sent += len(part)
        finally:
            self.answering -= 1
