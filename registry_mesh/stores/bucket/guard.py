"""What keeps clients from waiting for a bucket that is gone: a question has two seconds, and after one that failed the
bucket is left alone for a while that doubles. For what may be asked of somebody else instead: a cache's blobs and
records, never for an origin's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.records import Records

T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds for an answer, or for its head."""

FIRST: Final = 1.0
LONGEST: Final = 30.0
"""Seconds for which it is left alone after the first failure in a row, and at most."""


class Guard:
    """Of one bucket, in one process. `clock` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause = 0.0
        self._until = 0.0

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Its answer. `StoreBroken` at once while the bucket is left alone; else within `PATIENCE`."""
        if self._pause:
            if self._clock() < self._until:
                raise StoreBroken("the bucket does not answer")
            self._until = self._clock() + PATIENCE  # one tries; the others stay away
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await question()
        except TimeoutError:
            self.failed()
            raise StoreBroken(f"the bucket has not answered for {PATIENCE:g} s") from None
        except StoreBroken:
            self.failed()
            raise
        self._pause = 0.0
        return answer

    def failed(self) -> None:
        """It did not do its part: leave it alone."""
        self._pause = min(LONGEST, max(FIRST, 2 * self._pause))
        self._until = self._clock() + self._pause


class GuardedRecords:
    """`Records` of a bucket, by way of a guard."""

    def __init__(self, records: Records, guard: Guard) -> None:
        self._records = records
        self._ask = guard.ask

    async def get(self, key: str) -> bytes | None:
        """Return the record, as `Records.get`; `StoreBroken` also where the guard lets nobody ask."""
        return await self._ask(lambda: self._records.get(key))

    async def put(self, key: str, data: bytes) -> None:
        """Write the record, as `Records.put`; `StoreBroken` also where the guard lets nobody ask."""
        await self._ask(lambda: self._records.put(key, data))

    async def create(self, key: str, data: bytes) -> bool:
        """Write the record where there is none, as `Records.create`; `StoreBroken` as `put`."""
        return await self._ask(lambda: self._records.create(key, data))

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete the records, as `Records.delete`; `StoreBroken` as `put`."""
        await self._ask(lambda: self._records.delete(keys))

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        """Return the names below `prefix`, as `Records.children`; `StoreBroken` as `get`."""
        return await self._ask(lambda: self._records.children(prefix, after, limit))

    async def walk(self, prefix: str, before: float | None = None) -> AsyncIterator[str]:
        """The walk asks for a page now and then: each step has the time of a question."""
        keys = aiter(self._records.walk(prefix, before))
        while (key := await self._ask(lambda: anext(keys, None))) is not None:
            yield key


_: type[Records] = GuardedRecords
