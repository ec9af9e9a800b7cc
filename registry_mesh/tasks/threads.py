"""Calls that may block, sent to threads of the edge's own: a slow disk must not stop whatever else runs in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREADS: Final = ThreadPoolExecutor(16, thread_name_prefix="edge")


async def in_thread(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Its result. Who is cancelled meanwhile waits for the thread all the same: what it works on, a descriptor or
    a buffer, is given up next."""
    future = asyncio.get_running_loop().run_in_executor(_THREADS, partial(fn, *args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            future.exception()  # seen: not to be reported as lost
        raise
