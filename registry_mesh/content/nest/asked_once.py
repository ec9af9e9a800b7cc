"""Questions to a source that the processes of a node ask once between them.

What one of them learns it writes down, where the others find it. The lock is the kernel's: where the process that asks
is killed, another one takes its turn at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.cache import Locks
from registry_mesh.ports.failures import StoreBroken

PATIENCE: Final = 5.0
"""Seconds that one process waits for the answer of another before it asks, too."""

_PAUSE: Final = (0.002, 0.05)
"""Seconds between two looks, at first and at most."""

T = TypeVar("T")

Look = Callable[[], Awaitable[T | None]]
"""Finds what another process has written down since; None where that is nothing."""


class AskedOnce:
    """Among the processes that have `locks` in common; each by itself where there are none."""

    def __init__(self, locks: Locks | None, patience: float = PATIENCE) -> None:
        self._locks = locks
        self._patience = patience

    async def __call__(self, key: str, look: Look[T], ask: Callable[[], Awaitable[T]]) -> T:
        """What `look` finds, or what `ask` learns, and has written down by the time it returns."""
        async with contextlib.AsyncExitStack() as stack:
            found = await self._found(stack, key, look)
            return found if found is not None else await ask()

    async def _found(self, stack: contextlib.AsyncExitStack, key: str, look: Look[T]) -> T | None:
        """None where it is our turn to ask, or nobody knows whose it is."""
        if self._locks is not None:
            with contextlib.suppress(TimeoutError, StoreBroken):
                async with asyncio.timeout(self._patience):
                    return await self._turn(stack, self._locks, Digest.of(key.encode()), look)
        return None

    async def _turn(
        self, stack: contextlib.AsyncExitStack, locks: Locks, digest: Digest, look: Look[T]
    ) -> T | None:
        """What another process has learned; None once the lock is ours, for as long as `stack` is open."""
        pause = _PAUSE[0]
        while True:
            async with contextlib.AsyncExitStack() as trying:
                mine = await trying.enter_async_context(locks.lock(digest, "asked"))
                found = await look()
                if found is None and mine:
                    stack.push_async_exit(trying.pop_all())
                if found is not None or mine:
                    return found
            await asyncio.sleep(pause)
            pause = min(_PAUSE[1], pause * 1.5)
