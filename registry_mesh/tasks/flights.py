"""Single flight: many askers of one thing, one doing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Flights(Generic[K, T]):
    """Runs at most one task a key. The task is owned here: an asker who leaves hurts no one, and the last to
    leave does not cancel it."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[T]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    async def join(self, key: K, begin: Callable[[], Awaitable[T]]) -> T:
        """The result of the flight under way, or of a new one."""
        return await asyncio.shield(self.launch(key, begin))

    def launch(self, key: K, begin: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """The flight under way, or a new one; not waited for."""
        task = self._flights.get(key)
        if task is None:
            task = asyncio.ensure_future(_run(begin))
            self._flights[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def _landed(self, key: K, task: asyncio.Task[T]) -> None:
        if self._flights.get(key) is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # an error nobody waited for is the next asker's to find

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._flights.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(begin: Callable[[], Awaitable[T]]) -> T:
    return await begin()
