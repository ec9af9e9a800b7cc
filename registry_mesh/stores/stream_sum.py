"""Sums of bytes as they come: the blob's digest and its chunk map in one pass, in a thread beside the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap, ChunkMapper
from registry_mesh.oci.digest import Digest, new_hasher
from registry_mesh.stores.offload import offload

_BATCH: Final = 1 << 20
"""Bytes handed to the thread at once: a hop costs as much as hashing some 100 KiB."""


class StreamSum:
    """Hashes one batch while the next comes in. At most two batches of bytes are waiting."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._hasher = new_hasher(algorithm)
        self._mapper = ChunkMapper()
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._running: asyncio.Future[None] | None = None

    async def update(self, data: bytes) -> None:
        """Append; waits only where the thread is a batch behind."""
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes >= _BATCH:
            await self._settle()
            batch, self._waiting, self._bytes = self._waiting, [], 0
            self._running = asyncio.ensure_future(offload(self._hash, batch))

    async def finish(self) -> tuple[Digest, ChunkMap]:
        """The sums of all that came; spent."""
        await self._settle()
        await offload(self._hash, self._waiting)
        return Digest(self._algorithm, self._hasher.hexdigest()), self._mapper.finish()

    async def _settle(self) -> None:
        if self._running is not None:
            await self._running
            self._running = None

    def _hash(self, batch: Sequence[bytes]) -> None:
        for data in batch:
            self._hasher.update(data)
            self._mapper.update(data)
