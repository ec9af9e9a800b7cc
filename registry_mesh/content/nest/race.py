"""Asking several candidates, each beside those that are late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic, TypeVar

from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure

K = TypeVar("K")
T = TypeVar("T")


STOOD: Final = 0.02
"""Seconds more than were to be waited: this process stood still, and answers may have come meanwhile."""


async def first_done(tasks: Collection[asyncio.Task[T]], seconds: float | None) -> set[asyncio.Task[T]]:
    """Those of the tasks that are done, once some are, or none after `seconds`. Where the process stood still they are
    waited for as long once more."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if not done and seconds is not None and loop.time() - began > seconds + STOOD:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return done


@dataclass(frozen=True, slots=True)
class Won(Generic[K, T]):
    """A candidate's answer."""

    candidate: K
    answer: T


@dataclass(frozen=True, slots=True)
class Lost(Generic[K]):
    """A candidate that has no answer, and why."""

    candidate: K
    fault: Failure | Refusal


class Race(Generic[K, T]):
    """The questions that are out. `close` it: an answer that nobody took by then is given to `undo`."""

    def __init__(self, undo: Callable[[T], Awaitable[None]] | None = None) -> None:
        self._undo = undo
        self._running: dict[asyncio.Task[T], tuple[K, float]] = {}

    def begin(self, candidate: K, question: Awaitable[T]) -> None:
        """Ask one more."""
        self._running[asyncio.ensure_future(question)] = candidate, monotonic()

    async def next(self, seconds: float | None) -> Won[K, T] | Lost[K] | None:
        """The next outcome; None where there is none within `seconds`, or nobody left to wait for. What is neither a
        failure nor a refusal is raised."""
        if not self._running:
            return None
        done = await first_done(self._running, seconds)
        for task in done:
            candidate, _ = self._running.pop(task)
            try:
                return Won(candidate, task.result())
            except (Failure, Refusal) as fault:
                return Lost(candidate, fault)
        return None

    def late(self) -> list[tuple[K, float]]:
        """Those that have been asked and have not answered, and for how many seconds they have not."""
        return [(candidate, monotonic() - began) for candidate, began in self._running.values()]

    async def close(self) -> None:
        """Ask no more; take back what came too late."""
        tasks, self._running = list(self._running), {}
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if self._undo is not None and not isinstance(outcome, BaseException):
                await self._undo(outcome)
