"""Single flight: many askers of one thing, one doing of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Flights(Generic[K, T]):
    """Runs at most one task a key. The task is owned here: an asker who leaves hurts no one, and the last to
    leave ends it only where all of them came by `share`."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[T]] = {}
        self._sharing: Counter[asyncio.Task[T]] = Counter()
        self._ending: set[asyncio.Task[T]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    async def join(self, key: K, begin: Callable[[], Awaitable[T]]) -> T:
        """The result of the flight under way, or of a new one."""
        return await asyncio.shield(self.launch(key, begin))

    async def share(self, key: K, begin: Callable[[], Awaitable[T]]) -> T:
        """The result of the flight under way, or of a new one, which is cancelled when the last who shares it leaves:
        for what takes long and is of no use to anybody else."""
        task = self.launch(key, begin)
        self._sharing[task] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._sharing[task] -= 1
            if not self._sharing[task]:
                del self._sharing[task]
                self._abandon(key, task)

    def _abandon(self, key: K, task: asyncio.Task[T]) -> None:
        """A question from now on begins anew."""
        if not task.done():
            task.cancel()
            if self._flights.get(key) is task:
                del self._flights[key]
            self._ending.add(task)

    def launch(self, key: K, begin: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """The flight under way, or a new one; not waited for."""
        task = self._flights.get(key)
        if task is None:
            task = asyncio.ensure_future(_run(begin))
            self._flights[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def _landed(self, key: K, task: asyncio.Task[T]) -> None:
        self._ending.discard(task)
        if self._flights.get(key) is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # an error nobody waited for is the next asker's to find

    async def settle(self, seconds: float) -> None:
        """Let what is under way come to its end, for at most `seconds`; then `close`."""
        if self._flights:
            await asyncio.wait(list(self._flights.values()), timeout=seconds)
        await self.close()

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [*self._flights.values(), *self._ending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(begin: Callable[[], Awaitable[T]]) -> T:
    return await begin()
