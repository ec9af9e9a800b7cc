"""Stores that let others run before and after every step, in an order that a seed decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobStore, Ingest, Reading
from registry_mesh.ports.records import Records
from tests.simulators.origins import HandClock


class Jitter:
    """Where tasks take turns. Every step takes up to `longest` seconds by the clock."""

    def __init__(self, seed: int, clock: HandClock, longest: float) -> None:
        self.random = random.Random(seed)
        self._clock = clock
        self._longest = longest
        self.steps = 0

    async def __call__(self) -> None:
        self.steps += 1
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 5))):
            await asyncio.sleep(0)
        self._clock.now += self.random.random() * self._longest

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self._clock.now += seconds


class JitteryRecords:
    """Implements `ports.Records`."""

    def __init__(self, inner: Records, jitter: Jitter) -> None:
        self._inner = inner
        self._jitter = jitter

    async def get(self, key: str) -> bytes | None:
        await self._jitter()
        found = await self._inner.get(key)
        await self._jitter()
        return found

    async def put(self, key: str, data: bytes) -> None:
        await self._jitter()
        await self._inner.put(key, data)
        await self._jitter()

    async def create(self, key: str, data: bytes) -> bool:
        await self._jitter()
        made = await self._inner.create(key, data)
        await self._jitter()
        return made

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            await self._jitter()
            await self._inner.delete([key])

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        await self._jitter()
        found = await self._inner.children(prefix, after, limit)
        await self._jitter()
        return found

    async def walk(self, prefix: str) -> AsyncIterator[str]:
        async for key in self._inner.walk(prefix):
            await self._jitter()
            yield key


class JitteryBlobs:
    """Implements `ports.BlobStore`."""

    def __init__(self, inner: BlobStore, jitter: Jitter) -> None:
        self._inner = inner
        self._jitter = jitter

    async def stat(self, digest: Digest) -> BlobInfo:
        await self._jitter()
        return await self._inner.stat(digest)

    def open(self, digest: Digest, span: Span | None = None) -> AbstractAsyncContextManager[Reading]:
        return self._inner.open(digest, span)

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        return await self._inner.chunk_map(digest, span)

    def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AbstractAsyncContextManager[Ingest]:
        return self._inner.ingest(expected, size, algorithm)

    async def delete(self, digest: Digest) -> None:
        await self._jitter()
        await self._inner.delete(digest)
        await self._jitter()

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        async for info in self._inner.blobs():
            await self._jitter()
            yield info
