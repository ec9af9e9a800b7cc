"""The life of a digest: who may still rely on it, and when it may go.

Every digest that an origin holds has a numbered log (`numbered_log`) of its states:

    LIVE ──(a collection finds it unreferenced)──▶ UNREFERENCED ──(still so after the grace)──▶ CONDEMNED ──▶ gone
      ▲                                                 │                                          │
      └────────────── a push touches it ◀───────────────┘          a push waits until it is over ◀─┘

Two rules make collection safe beside any number of pushing processes, without a lock server:

1. A process that is about to refer to a digest touches it *first* and looks *afterwards* whether it is there.
2. A process that removes anything of a digest first appends CONDEMNED to the very state that it judged by.

Both are the creation of one and the same next number, so one of them loses. The collection that loses spares the
digest. The pusher that loses waits for the removal to end, then looks and finds the digest gone: it is pushed
again, or the manifest is refused. A touch is good for much longer (`Grace.period`) than the time between it and
the reference being written (`Grace.fresh` bounds the first, a request's deadline the second).

A collection that dies while something is condemned leaves it so; after `Grace.stall` a pusher goes on regardless,
which is safe because a collection stops deleting well before that (`Grace.deadline`).
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.documents import decode, encode
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.records import Records
from registry_mesh.repositories import keys
from registry_mesh.repositories.numbered_log import NumberedLog

Clock = Callable[[], float]
"""Seconds since the epoch."""

Sleep = Callable[[float], Awaitable[None]]

_KEEP = 2


class LifeState(enum.Enum):
    """Referred to; loose since some time; about to be removed."""

    LIVE = "live"
    UNREFERENCED = "unreferenced"
    CONDEMNED = "condemned"


@dataclass(frozen=True, slots=True)
class Life:
    """The current state of a digest, and since when (seconds since the epoch)."""

    number: int
    state: LifeState
    at: float


@dataclass(frozen=True, slots=True)
class Grace:
    """Times in seconds. `period` must exceed `fresh` and any request's duration; hosts' clocks may differ by
    a quarter of it."""

    period: float = 24 * 3600.0
    fresh: float = 600.0  # a touch this young is not repeated
    stall: float = 120.0  # a collection that is silent for so long is dead
    deadline: float = 30.0  # a collection deletes nothing later than this after condemning it
    poll: float = 0.05


class Lifecycle:
    """The lives of all digests of one store."""

    def __init__(
        self, records: Records, clock: Clock, grace: Grace | None = None, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._records = records
        self.clock = clock
        self.grace = grace or Grace()
        self._sleep = sleep

    def fresh(self, at: float) -> bool:
        """Whether something that was touched at `at` need not be touched again."""
        return abs(self.clock() - at) < self.grace.fresh

    async def read(self, digest: Digest) -> Life | None:
        """The digest's state, or None where nothing was ever noted. `StoreBroken` where the note is none."""
        log = self._log(digest)
        entry = await log.last()
        if entry is None:
            return None
        document = decode(entry.data, log.prefix)
        try:
            return Life(entry.number, LifeState(document["state"]), float(document["at"]))
        except (KeyError, ValueError, TypeError):
            raise StoreBroken(f"{log.prefix} has no state") from None

    async def touch(self, digest: Digest) -> None:
        """From now on, and for the grace, nothing of `digest` is removed. What was removed before is gone."""
        while True:
            life = await self.read(digest)
            if life is not None:
                if life.state is LifeState.LIVE and self.fresh(life.at):
                    return
                if life.state is LifeState.CONDEMNED and abs(self.clock() - life.at) < self.grace.stall:
                    await self._sleep(self.grace.poll)
                    continue
            if await self.advance(digest, life, LifeState.LIVE):
                return

    async def advance(self, digest: Digest, judged: Life | None, state: LifeState) -> bool:
        """Append `state` to the state that was judged; False where it has changed since."""
        document = encode({"state": state.value, "at": self.clock()})
        return await self._log(digest).append(judged.number if judged else 0, document, _KEEP)

    async def forget(self, digest: Digest) -> None:
        """Nothing of it is left: end its log. Only after `advance` to CONDEMNED."""
        await self._log(digest).purge()

    def _log(self, digest: Digest) -> NumberedLog:
        return NumberedLog(self._records, keys.life(digest))
