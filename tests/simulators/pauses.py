"""A client for tests whose nodes are processes of their own, while the parents of those live in the test's loop.

Where that loop stands still, its parents do, and a node is right to say that they never answer. What it refused then is
asked for once more; what it refuses while the loop runs is told.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final, ParamSpec, TypeVar

import aiohttp

T = TypeVar("T")
P = ParamSpec("P")

TICK: Final = 0.05
LATE: Final = 0.15
"""Seconds by which a tick is late where the loop stood still."""

AFTER: Final = 2.0
"""Seconds after which a node has forgotten it: its breaker lets the parent be asked again after one."""

TRIES: Final = 9

STORIES: Final = 5
"""How often a test is done at most."""


class Pauses:
    """Knows when this loop stood still last."""

    def __init__(self) -> None:
        self._ended = -AFTER
        self.stood = 0.0
        """Seconds that it stood still for, in all."""

    def stood_since(self, began: float) -> bool:
        """Whether the loop stood still after `began`, by the monotonic clock, or so shortly before that a node may
        still hold it against a parent."""
        return self._ended >= began - AFTER

    async def watch(self) -> None:
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            late = time.monotonic() - due
            if late > LATE:
                self._ended = time.monotonic()
                self.stood += late

    async def timed(self, work: Awaitable[T]) -> tuple[T, float]:
        """What that gives, and the seconds that it took but for those in which the loop stood still."""
        began, stood = time.monotonic(), self.stood
        given = await work
        took = time.monotonic() - began
        await asyncio.sleep(2 * TICK)  # by then a pause is seen
        return given, took - (self.stood - stood)

    async def whole(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives, who reads a body: asked once more where that broke off and the loop stood still."""
        for _ in range(TRIES):
            began = time.monotonic()
            try:
                return await ask()
            except aiohttp.ClientPayloadError:
                await asyncio.sleep(2 * TICK)  # by then a pause is seen
                if not self.stood_since(began):
                    raise
        return await ask()

    async def ask(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """As a middleware of a client."""
        for _ in range(TRIES):
            began = time.monotonic()
            answer = await handler(request)
            await asyncio.sleep(0)
            if answer.status != 503 or request.method not in ("GET", "HEAD") or not self.stood_since(began):
                return answer
            answer.close()
            await asyncio.sleep(2 * TICK)
        return await handler(request)


@asynccontextmanager
async def watched() -> AsyncIterator[Pauses]:
    """What knows of the pauses meanwhile."""
    pauses = Pauses()
    watching = asyncio.create_task(pauses.watch())
    try:
        yield pauses
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def patient() -> AsyncIterator[tuple[aiohttp.ClientSession, Pauses]]:
    """A connection for each request, so that any of a node's processes may have it."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with watched() as pauses:
        async with aiohttp.ClientSession(connector=connector, middlewares=(pauses.ask,)) as client:
            yield client, pauses


@asynccontextmanager
async def patient_client() -> AsyncIterator[aiohttp.ClientSession]:
    """The client of `patient`."""
    async with patient() as (client, _):
        yield client


def steady(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, Coroutine[None, None, None]]:
    """The test, done once more where it failed and the loop stood still meanwhile: for one that holds a node to an
    amount, or to each body's end, while its parent stands in the loop. Its content has to be new each time."""

    @functools.wraps(test)
    async def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async with watched() as pauses:
            for _ in range(STORIES - 1):
                began = time.monotonic()
                try:
                    return await test(*args, **kwargs)
                except (AssertionError, aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(2 * TICK)  # by then a pause is seen
                    if not pauses.stood_since(began):
                        raise
                await asyncio.sleep(
                    AFTER
                )  # what was on its way for it has come, and the parent is asked again
        return await test(*args, **kwargs)

    return run
