"""Simulators beside a busy test: what is far away does not stand still because the test's own loop does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_R = TypeVar("_R")


@asynccontextmanager
async def apart(simulator: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """The simulator, entered in a loop that has a thread of its own. Plain attributes may be read and set from here."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="apart", daemon=True)
    thread.start()

    async def there(work: Coroutine[Any, Any, _R]) -> _R:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    async def enter() -> T:
        return await simulator.__aenter__()

    async def leave() -> None:
        await simulator.__aexit__(None, None, None)

    try:
        entered = await there(enter())
        try:
            yield entered
        finally:
            await there(leave())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()
