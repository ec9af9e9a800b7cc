"""The rolling scrub: everything held is read again, slowly, and what has rotted is brought anew.

Decides the order, the speed and when to begin; knows no place. Blobs go by their digest, so that one number says how
far a walk has come, and a restart goes on where the last blob was finished.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.inspection import Inspectable
from registry_mesh.ports.records import KeyedRecords

KEY: Final = "scrub/progress"

SAVED_EVERY: Final = 10.0
"""Seconds between two notes of how far it has come."""

TRIES: Final = 10
"""Times that a repair is tried; then it is left to the next reader of the bytes."""

LOOK: Final = 5.0
"""Seconds at most until a changed pace is seen."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate`: bytes a second; 0: never. `every`: seconds from the beginning of one walk to that of the next. `rest`:
    seconds for which what was stored is left alone: it was proven then, and may still be on its way to many."""

    rate: int
    every: float
    rest: float = 0.0


Repair = Callable[[Digest, Sequence[Span]], Awaitable[bool]]
"""Bring these spans of a blob anew; whether that worked."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Of the walk under way, or of the last one. Times are in seconds since the epoch; 0: never."""

    began: float = 0.0
    completed: float = 0.0
    after: str = ""
    running: bool = False
    read: int = 0
    rotten: int = 0
    repaired: int = 0

    def encode(self) -> bytes:
        """The progress as it lies in its record."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes | None) -> Progress:
        """A note that cannot be read is none: the walk begins anew."""
        with suppress(ValueError, TypeError):
            if data is not None:
                return cls(**json.loads(data))
        return cls()

    @property
    def last(self) -> Digest | None:
        """The digest that was looked at last; None at the beginning of a walk."""
        with suppress(DigestInvalid):
            return Digest.parse(self.after)
        return None


class Budget:
    """So many bytes a second, without saving up."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def spend(self, now: float, size: int, rate: int) -> float:
        """Seconds to wait after reading `size` bytes."""
        self._free_at = max(self._free_at, now) + size / rate
        return self._free_at - now


def wait_for_next(progress: Progress, pace: Pace, now: float) -> float | None:
    """Seconds until a walk is due; 0 where one is, or was interrupted; None: never."""
    if not pace.rate:
        return None
    if progress.running:
        return 0.0
    return max(0.0, progress.began + pace.every - now)


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told of what happens: each gets a number of bytes, or of spans."""

    read: Callable[[int], None] = lambda size: None
    rotten: Callable[[int], None] = lambda spans: None
    repaired: Callable[[int], None] = lambda spans: None


class Scrub:
    """`repeat` for ever, in one process of a node. `progress` may be looked at."""

    def __init__(
        self,
        store: Inspectable,
        records: KeyedRecords,
        repair: Repair,
        pace: Callable[[], Pace],
        told: Told | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        key: str = KEY,
    ) -> None:
        """`key`: the record in which its progress is noted."""
        self._key = key
        self._store = store
        self._records = records
        self._repair = repair
        self._pace = pace
        self._told = told or Told()
        self._clock = clock
        self._sleep = sleep
        self._budget = Budget()
        self._saved = 0.0
        self._unmended: dict[Digest, tuple[Sequence[Span], int]] = {}
        self.progress = Progress()

    async def load(self) -> None:
        """Take up what an earlier process noted."""
        with suppress(Failure):
            self.progress = Progress.decode(await self._records.get(self._key))

    async def repeat(self) -> None:
        """Walk whenever a walk is due. `StoreBroken` where the store cannot even be listed."""
        await self.load()
        while True:
            wait = wait_for_next(self.progress, self._pace(), self._clock())
            if wait == 0.0:
                await self.walk()
                await self.mend_again()
            else:
                await self.mend_again()
                await self._sleep(LOOK if wait is None else min(wait, LOOK))

    async def walk(self) -> None:
        """One walk, or the rest of the one that was interrupted."""
        if not self.progress.running:
            began = replace(Progress(), completed=self.progress.completed, began=self._clock(), running=True)
            self.progress = began
            await self.save()
        stored_before = self._clock() - self._pace().rest
        async for digest in self._store.digests(self.progress.last, stored_before):
            with suppress(Failure):  # this one cannot be read now; a request for it says so
                await self._blob(digest)
            self.progress = replace(self.progress, after=str(digest))
            if self._clock() - self._saved > SAVED_EVERY:
                await self.save()
        self.progress = replace(self.progress, completed=self._clock(), after="", running=False)
        await self.save()

    async def _blob(self, digest: Digest) -> None:
        rotten: list[Span] = []
        async for step in self._store.inspect(digest):
            rotten += step.rotten
            self._told.read(step.size)
            self._told.rotten(len(step.rotten))
            counted = replace(self.progress, read=self.progress.read + step.size)
            self.progress = replace(counted, rotten=counted.rotten + len(step.rotten))
            rate = self._pace().rate
            if rate:
                await self._sleep(self._budget.spend(self._clock(), step.size, rate))
        if rotten:
            await self._mend(digest, rotten, TRIES)

    async def _mend(self, digest: Digest, spans: Sequence[Span], tries: int) -> None:
        if await self._repair(digest, spans):
            self._told.repaired(len(spans))
            self.progress = replace(self.progress, repaired=self.progress.repaired + len(spans))
        elif tries > 1:
            self._unmended[digest] = (spans, tries - 1)

    async def mend_again(self) -> None:
        """Try once more what could not be repaired: a parent may be back."""
        unmended, self._unmended = self._unmended, {}
        for digest, (spans, tries) in unmended.items():
            await self._mend(digest, spans, tries)

    async def save(self) -> None:
        """Note the progress; where the disk takes nothing, a restart begins a little earlier."""
        self._saved = self._clock()
        with suppress(Failure):  # a disk that is full or read-only; then a restart begins a little earlier
            await self._records.put(self._key, self.progress.encode())
