"""The one place that runs blocking calls: a bounded pool of threads beside the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = 32
"""Enough that a slow disk's waits overlap; hashing and writing let go of the interpreter lock."""

_pools: list[ThreadPoolExecutor] = []
"""The one of this process, once it was needed: threads do not survive a fork."""

os.register_at_fork(after_in_child=_pools.clear)


def _pool() -> ThreadPoolExecutor:
    if not _pools:
        _pools.append(ThreadPoolExecutor(THREADS, thread_name_prefix="offload"))
    return _pools[0]


def submit(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Start `fn` in a thread. The future is good for `settle`, or for nobody."""
    return _pool().submit(fn, *args, **kwargs)


async def settle(future: Future[T]) -> T:
    """The outcome of `submit`. Cancelled, it still waits until the thread is done: a thread cannot be stopped, and
    what it works on (a descriptor, a buffer) must not be taken from under it."""
    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        while not waiting.done():
            try:
                await asyncio.wait([waiting])
            except asyncio.CancelledError:
                continue
        if not waiting.cancelled():
            waiting.exception()  # retrieved: the cancellation is what is told
        raise


async def offload(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `fn` in a thread and give what it gives."""
    return await settle(submit(fn, *args, **kwargs))
