"""Bytes between a stream and the store: while a thread writes and hashes some, the next are received."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from registry_mesh.content.fill.policy import BATCH, QUEUED


class Backlog:
    """Bytes of a transfer that were received and are not stored yet; `store` stores them, in order.

    The first failure of `store` is raised by the next call here; what was put behind the bytes that failed is dropped,
    for it must not be written in their place."""

    def __init__(
        self, store: Callable[[Sequence[bytes]], Awaitable[None]], queued: int = QUEUED, batch: int = BATCH
    ) -> None:
        self._store = store
        self._queued = queued
        self._most = batch
        self._queue: deque[bytes] = deque()
        self._storing: asyncio.Task[None] | None = None
        self._stored = asyncio.Event()
        self.waiting = 0
        """Bytes that were put and are not stored yet."""

    async def put(self, data: bytes) -> None:
        """Have `data` stored; returns at once while little waits."""
        self._raise_of_storing()
        self._queue.append(data)
        self.waiting += len(data)
        if self._storing is None:
            self._storing = asyncio.get_running_loop().create_task(self._run())
        while self.waiting > self._queued:
            self._stored.clear()
            await self._stored.wait()

    async def settle(self) -> None:
        """Return when all that was put is stored. Cancelled, it still waits: a thread may be writing."""
        cancelled: asyncio.CancelledError | None = None
        while self._storing is not None and not self._storing.done():
            try:
                await asyncio.wait({self._storing})
            except asyncio.CancelledError as again:
                cancelled = again
        if cancelled is not None:
            raise cancelled
        self._raise_of_storing()

    def _raise_of_storing(self) -> None:
        if self._storing is not None and self._storing.done():
            storing, self._storing = self._storing, None
            storing.result()

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = self._batch()
                await self._store(batch)
                self.waiting -= sum(map(len, batch))
                self._stored.set()
        except BaseException:
            self._queue.clear()
            self.waiting = 0
            self._stored.set()
            raise

    def _batch(self) -> list[bytes]:
        batch = [self._queue.popleft()]
        size = len(batch[0])
        while self._queue and size + len(self._queue[0]) <= self._most:
            batch.append(self._queue.popleft())
            size += len(batch[-1])
        return batch
