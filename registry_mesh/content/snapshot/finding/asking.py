"""Questions to sources: so many at once, and again when a source asks us to come later.

A source that answers 429, or names a time to come back, is left alone until then by everything that the run wants of
that registry; then the same question is asked again. How long a run waits in all is bounded.

A question that fails as a source fails now and then (503, a reset stream) is asked again after a moment, and holds up
no other. A registry that failed one to the end is asked each thing once, until it answers again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from typing import Final, TypeVar

from registry_mesh.content.snapshot.finding.jobs import Later
from registry_mesh.oci.reference import RegistryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure, SourceDown, SourceHung, SourceThrottled, SourceUnavailable

T = TypeVar("T")

TRIES: Final = 5
"""How often one thing is asked for."""
LONGEST: Final = 60.0
"""Seconds that one Retry-After may mean."""
PATIENCE: Final = 300.0
"""Seconds that a run waits for one registry in all."""


class Asking:
    """At most `width` questions at once, over all registries together. `clock` in seconds, monotonic. `again`: seconds
    after which a question is asked again that failed for no lasting reason."""

    def __init__(
        self,
        width: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        again: Sequence[float] = (),
    ) -> None:
        self._again = again
        self._width = asyncio.Semaphore(width)
        self._clock = clock
        self.sleep = sleep
        self._shut: dict[RegistryName, float] = {}  # until when a registry is left alone
        self._waited: Counter[RegistryName] = Counter()  # milliseconds
        self._tried: Counter[Hashable] = Counter()
        self._failing: set[RegistryName] = set()  # that have answered nothing since they failed to the end

    async def ask(
        self, registry: RegistryName, question: Callable[[], Awaitable[T]], tries: int = TRIES
    ) -> T:
        """The answer. What the question raises comes through when there is no use, or no time, in waiting."""

        async def asked() -> T:
            async with self._width:
                return await question()

        return await self.patiently(registry, asked, tries)

    async def patiently(
        self, registry: RegistryName, do: Callable[[], Awaitable[T]], tries: int = TRIES
    ) -> T:
        """The same for what takes no place among the questions."""
        pauses = iter(() if registry in self._failing else self._again)
        attempt = 0
        while True:
            await self._until_open(registry)
            attempt += 1
            try:
                answer = await do()
            except Refusal:
                self._failing.discard(registry)
                raise
            except Failure as failure:
                await self._wait_out(registry, failure, attempt, tries, pauses)
            else:
                self._failing.discard(registry)
                return answer

    async def _wait_out(
        self, registry: RegistryName, failure: Failure, attempt: int, tries: int, pauses: Iterator[float]
    ) -> None:
        """Return when the question may be asked again; the failure is raised where it shall not."""
        pause = self._pause(registry, failure, attempt)
        if pause is not None:
            if attempt < tries and self._shut_for(registry, pause):
                return
            raise failure
        if not _passes(failure, attempt):
            raise failure
        soon = next(pauses, None) if attempt < tries else None
        if soon is None:
            if attempt > len(self._again):
                self._failing.add(registry)
            raise failure
        await self.sleep(soon)

    async def once(self, registry: RegistryName, do: Callable[[], Awaitable[T]], key: Hashable) -> T:
        """The same for a job, `key`, that leaves its place to others where it has to wait: raises `Later`."""
        left = self._shut.get(registry, 0.0) - self._clock()
        if left > 0:
            raise Later(left)
        try:
            return await do()
        except Failure as failure:
            self._tried[key] += 1
            pause = self._pause(registry, failure, self._tried[key])
            if pause is None or self._tried[key] >= TRIES or not self._shut_for(registry, pause):
                raise
            raise Later(pause) from None

    def _pause(self, registry: RegistryName, failure: Failure, attempt: int) -> float | None:
        """Seconds until it may be asked again; None where waiting does not help."""
        if failure.retry_after is not None:
            return min(LONGEST, failure.retry_after)
        throttled = isinstance(failure, SourceThrottled)
        down_for_that = isinstance(failure, SourceDown) and registry in self._shut
        return 2.0 ** (attempt - 1) if throttled or down_for_that else None

    def _shut_for(self, registry: RegistryName, pause: float) -> bool:
        """Leave the registry alone for `pause` from now. False where that is longer than the run has patience for."""
        now = self._clock()
        further = now + pause - max(now, self._shut.get(registry, now))
        if further > 0:
            if self._waited[registry] + further * 1000 > PATIENCE * 1000:
                return False
            self._waited[registry] += round(further * 1000)
            self._shut[registry] = now + pause
        return True

    async def _until_open(self, registry: RegistryName) -> None:
        while (left := self._shut.get(registry, 0.0) - self._clock()) > 0:
            await self.sleep(left)


def _passes(failure: Failure, attempt: int) -> bool:
    """Whether it is a failure of the moment; a source that is left alone for one that came before is, too."""
    return type(failure) in (SourceUnavailable, SourceHung) or (type(failure) is SourceDown and attempt > 1)
