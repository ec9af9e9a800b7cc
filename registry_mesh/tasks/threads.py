"""Blocking calls, run by bounded pools of threads beside the event loop.

There are three pools, so that calls that take long leave threads for what answers wait for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """At most `most` threads, made when they are needed; a forked child makes its own."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._threads: ThreadPoolExecutor | None = None
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._threads = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start `fn` in a thread. The future is good for `settle`, or for nobody."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._most, thread_name_prefix=self._name)
        return self._threads.submit(fn, *args, **kwargs)

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` in a thread and give what it gives; cancelled, wait for the thread all the same."""
        return await settle(self.submit(fn, *args, **kwargs))

    async def ask(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`run` for a call that owns all it works on: cancelled, leave the thread to its end."""
        return await asyncio.wrap_future(self.submit(fn, *args, **kwargs))


async def settle(future: Future[T]) -> T:
    """The outcome of a call that was submitted. Cancelled, it still waits until the thread is done: a thread cannot
    be stopped, and what it works on (a descriptor, a buffer) must not be taken from under it."""
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


_STORES: Final = Pool(32, "offload")
"""Enough that a slow disk's waits overlap; hashing and writing let go of the interpreter lock."""

_EDGE: Final = Pool(16, "edge")
"""Cold pages, log lines and large manifests of answers."""

_REMOTE: Final = Pool(16, "remote")
"""Calls over a network by libraries that block, which may take as long as their time-outs."""

submit: Final = _STORES.submit
offload: Final = _STORES.run
"""Run a store's call in a thread."""

ask_remote: Final = _REMOTE.ask
"""Run a question to a server in a thread: a caller that has no more time for it leaves at once."""

in_thread: Final = _EDGE.run
"""Run a call for an answer in a thread: not held up by a store that is slow."""
