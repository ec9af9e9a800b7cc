"""Jobs that need other jobs: run as many at once as allowed, by rank and then the largest first, each once.

A job that fails takes with it what needs it, and nothing else. What only comes `after` it is done all the same.
"""

from __future__ import annotations

import asyncio
import enum
import heapq
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import count

from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure


class Lane(enum.Enum):
    """Bytes move in one lane, small writes in another: no manifest waits behind a large layer."""

    BYTES = enum.auto()
    RECORDS = enum.auto()


@dataclass(frozen=True, slots=True)
class Widths:
    """Jobs at once in each lane."""

    streams: int = 8
    records: int = 8

    def of(self, lane: Lane) -> int:
        """How many jobs of a lane run at once."""
        return self.streams if lane is Lane.BYTES else self.records


@dataclass(frozen=True, slots=True)
class Job:
    """`do` is awaited when all of `needs` are done, and all of `after` are done or cannot be."""

    key: Hashable
    do: Callable[[], Awaitable[None]] = field(repr=False)
    lane: Lane = Lane.RECORDS
    size: int = 0
    needs: frozenset[Hashable] = frozenset()
    after: frozenset[Hashable] = frozenset()
    rank: int = 0
    """Of those that can be done the lowest comes first."""
    queue: str = ""
    """Jobs of one lane and queue share its width: those of a slow queue hold up no other."""


class Later(Exception):
    """Raised by a job that is to be done again after `pause` seconds: until then others take its place."""

    def __init__(self, pause: float) -> None:
        super().__init__(pause)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Undone:
    """A job that failed, or (`because`) that needed one which failed."""

    key: Hashable
    failure: Exception
    because: Hashable | None = None


class Jobs:
    """A set of jobs, run once."""

    def __init__(
        self,
        jobs: Iterable[Job],
        widths: Widths | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._jobs = {job.key: job for job in jobs}
        self._widths = widths or Widths()
        self._waiting = {key: {*job.needs, *job.after} for key, job in self._jobs.items()}
        self._needed_by: dict[Hashable, list[Hashable]] = {}
        for key, before in self._waiting.items():
            for need in before:
                if need not in self._jobs:
                    raise ValueError(f"{key} needs {need}, which is no job")
                self._needed_by.setdefault(need, []).append(key)
        lanes = {(job.lane, job.queue) for job in self._jobs.values()}
        self._ready: dict[tuple[Lane, str], list[tuple[int, int, int, Job]]] = {each: [] for each in lanes}
        self._order = count()
        self._left = len(self._jobs)
        self._moved = asyncio.Condition()
        self.undone: dict[Hashable, Undone] = {}

    async def run(self) -> tuple[Undone, ...]:
        """Everything that could not be done, the causes before what they took with them."""
        for key, needs in self._waiting.items():
            if not needs:
                self._enqueue(self._jobs[key])
        async with asyncio.TaskGroup() as group:
            for lane, queue in self._ready:
                for _ in range(self._widths.of(lane)):
                    group.create_task(self._work((lane, queue), group))
        return tuple(self.undone.values())

    async def _work(self, lane: tuple[Lane, str], group: asyncio.TaskGroup) -> None:
        ready = self._ready[lane]
        while True:
            async with self._moved:
                await self._moved.wait_for(lambda: ready or not self._left)
                if not ready:
                    return
                job = heapq.heappop(ready)[3]
            failure: Exception | None = None
            try:
                await job.do()
            except Later as later:
                group.create_task(self._again(job, later.pause))
                continue
            except (Failure, Refusal) as caught:
                failure = caught
            async with self._moved:
                if failure is None:
                    self._done(job.key)
                else:
                    self._fail(job.key, failure)
                self._moved.notify_all()

    async def _again(self, job: Job, pause: float) -> None:
        await self._sleep(pause)
        async with self._moved:
            self._enqueue(job)
            self._moved.notify_all()

    def _enqueue(self, job: Job) -> None:
        heapq.heappush(self._ready[job.lane, job.queue], (job.rank, -job.size, next(self._order), job))

    def _done(self, key: Hashable) -> None:
        self._left -= 1
        for follower in self._needed_by.get(key, ()):
            self._ended(key, follower)

    def _ended(self, key: Hashable, follower: Hashable) -> None:
        """`follower` waits for `key` no longer."""
        waiting = self._waiting[follower]
        waiting.discard(key)
        if not waiting and follower not in self.undone:
            self._enqueue(self._jobs[follower])

    def _fail(self, key: Hashable, failure: Exception) -> None:
        self.undone[key] = Undone(key, failure)
        self._left -= 1
        lost = [key]
        for each in lost:
            for follower in self._needed_by.get(each, ()):
                if each not in self._jobs[follower].needs:
                    self._ended(each, follower)
                elif follower not in self.undone:
                    self.undone[follower] = Undone(follower, failure, because=key)
                    self._left -= 1
                    lost.append(follower)
