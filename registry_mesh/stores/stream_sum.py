"""Sums of bytes as they come: the blob's digest and its chunk map in one pass, in a thread beside the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.chunks.sums import NEWEST, SumAlgorithm
from registry_mesh.oci.digest import Digest
from registry_mesh.stores import resumable_hash
from registry_mesh.stores.resumable_hash import ResumableHasher
from registry_mesh.tasks.threads import offload

_BATCH: Final = 1 << 20
"""Bytes handed to the thread at once: a hop costs as much as hashing some 100 KiB."""

Data = bytes | memoryview


class StreamSum:
    """Hashes one batch while the next comes in. At most two batches of bytes are waiting.

    `hasher` None: the digest's state was lost, only the chunk map is made.
    """

    def __init__(self, algorithm: str, hasher: ResumableHasher | None, mapper: ChunkMapper) -> None:
        self.algorithm = algorithm
        self._hasher = hasher
        self._mapper = mapper
        self._waiting: list[Data] = []
        self._bytes = 0
        self._running: asyncio.Future[None] | None = None

    @classmethod
    def begin(cls, algorithm: str, chunks_by: SumAlgorithm = NEWEST) -> StreamSum:
        """Of nothing yet; `DigestInvalid` for an algorithm we do not support."""
        return cls(algorithm, resumable_hash.new(algorithm), ChunkMapper(chunks_by))

    async def update(self, data: Data) -> None:
        """Append; waits only where the thread is a batch behind."""
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes >= _BATCH:
            await self._settle()
            self._running = asyncio.ensure_future(offload(self._hash, self._batch()))

    async def flush(self) -> None:
        """All that came is in the sums."""
        await self._settle()
        await offload(self._hash, self._batch())

    async def finish(self) -> tuple[Digest | None, ChunkMap]:
        """The sums of all that came; spent."""
        await self.flush()
        digest = Digest(self.algorithm, self._hasher.hexdigest()) if self._hasher else None
        return digest, self._mapper.finish()

    @property
    def state(self) -> bytes | None:
        """For `resumable_hash.resume`, after `flush`; None where the digest cannot be put aside, or is lost."""
        return self._hasher.state() if self._hasher else None

    @property
    def sums(self) -> bytes:
        """For `ChunkMapper.resumed`, after `flush`."""
        return self._mapper.sums

    def _batch(self) -> list[Data]:
        batch, self._waiting, self._bytes = self._waiting, [], 0
        return batch

    async def _settle(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            await running

    def _hash(self, batch: Sequence[Data]) -> None:
        for data in batch:
            if self._hasher is not None:
                self._hasher.update(data)
            self._mapper.update(data)
