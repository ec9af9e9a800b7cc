"""Whether, and how fast, bytes of a tag may flow: windows and budgets of the rules that take it.

Of several rules one that lets bytes flow is enough, and pays for them. What was spent of an hour or a day is kept, and
counts in the next run. What a client has come to wait for flows as fast as it comes, whatever the rules say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobSource, Provenance, Reading, Streamed
from registry_mesh.ports.failures import Failure, StoreBroken, StoreFull
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.urgency import urgency
from registry_mesh.replication.rules import Rule
from registry_mesh.replication.window import is_open

_KEY: Final = "receipts/spent.json"
_SLOTS: Final = 60
"""Parts of an hour, or of a day, in which what was spent is counted."""
_LOOK: Final = 0.5
"""Seconds between two looks at whether a client has come to wait for what waits for its turn."""
_KEEP_EVERY: Final = 10.0
"""Seconds after which a run keeps what it spent: one that is killed forgets no more."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a node grants to runs: `rate` in bytes a second, None for no bound. `ticks`: seconds, monotonic."""

    rate: float | None
    ticks: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class OutsideWindow(Failure):
    """Bytes do not flow now; what came is kept, and gone on with when they do."""


class Pace:
    """Lets `rate` bytes a second through, whoever takes them."""

    def __init__(self, rate: float, grant: Grant) -> None:
        self._rate = rate
        self._grant = grant
        self._free = 0.0

    async def take(self, size: int) -> None:
        """Return when `size` bytes may pass; at once where a client waits for them."""
        now = self._grant.ticks()
        begin = max(now, self._free)
        self._free = begin + size / self._rate
        left = begin - now
        while left > 0 and urgency().background:
            step = min(left, _LOOK)
            await self._grant.sleep(step)
            left -= step


class Spending:
    """What the rules of a run spend. `clock` in seconds since the epoch."""

    def __init__(
        self, rules: Iterable[Rule], grant: Grant, records: KeyedRecords, clock: Callable[[], float]
    ) -> None:
        self._grant = grant
        self._records = records
        self._clock = clock
        self._all = None if not grant.rate else Pace(grant.rate, grant)
        self._paces: dict[str, Pace] = {}
        self._spent: dict[str, Counter[int]] = {}
        self._kept = grant.ticks()
        for rule in rules:
            granted = grant.rate or 0.0
            rates = [
                each.rate(granted) for each in rule.budget if each.share is not None or each.seconds <= 1
            ]
            if rates and min(rates) > 0:
                self._paces[rule.name] = Pace(min(rates), grant)

    async def load(self) -> None:
        """What was spent before; nothing where that cannot be read."""
        try:
            told = json.loads(await self._records.get(_KEY) or b"{}")
            self._spent = {
                str(name): Counter({int(slot): int(size) for slot, size in slots.items()})
                for name, slots in told.items()
            }
        except (ValueError, TypeError, AttributeError):
            self._spent = {}

    async def flush(self) -> None:
        """Keep it, as far as it counts on. `StoreFull`, `StoreBroken`."""
        if not self._spent:
            return
        now = self._clock()
        document = {
            name: counting
            for name, slots in sorted(self._spent.items())
            if (
                counting := {
                    slot: size for slot, size in sorted(slots.items()) if 0 <= now - slot < 2 * 86400
                }
            )
        }
        await self._records.put(_KEY, json.dumps(document).encode())

    def has_pace(self, rule: Rule) -> bool:
        """Whether a budget says how many bytes a second of a rule may pass."""
        return rule.name in self._paces

    def closed(self, rule: Rule) -> str | None:
        """Why bytes of a rule do not flow now; None where they do."""
        now = self._clock()
        if rule.when and not is_open(rule.when, now):
            return "no window of its rules is open"
        for each in rule.budget:
            if each.share is not None or each.seconds <= 1:
                if each.rate(self._grant.rate or 0.0) <= 0:
                    return f"the budget of rule {rule.name} is nothing: {each}"
            elif self._lately(rule.name, each.seconds, now) >= each.size:
                return f"the budget of rule {rule.name} is spent: {each}"
        return None

    def _lately(self, rule: str, seconds: float, now: float) -> int:
        """What was spent in so many seconds; whole slots count. What a clock that was ahead noted does not."""
        begins = now - seconds - seconds / _SLOTS
        return sum(size for slot, size in self._spent.get(rule, Counter()).items() if begins < slot <= now)

    async def _spend(self, rule: Rule, size: int) -> None:
        volumes = [each.seconds for each in rule.budget if each.share is None and each.seconds > 1]
        if not volumes:
            return
        slot = int(self._clock() // (min(volumes) / _SLOTS) * (min(volumes) / _SLOTS))
        self._spent.setdefault(rule.name, Counter())[slot] += size
        now = self._grant.ticks()
        if now - self._kept >= _KEEP_EVERY:
            self._kept = now
            with suppress(StoreFull, StoreBroken):  # the end of the run tells of it
                await self.flush()

    async def take(self, rule: Rule | None, size: int) -> None:
        """Note `size` bytes that came for a rule, and return when they may pass; None: only what the node grants
        counts."""
        if rule is not None:
            await self._spend(rule, size)
        pace = self._paces.get(rule.name) if rule is not None else None
        for each in (self._all, pace):
            if each is not None:
                await each.take(size)


@dataclass(frozen=True, slots=True)
class Flow:
    """Of one tag, under the rules that take it; none: always."""

    spending: Spending
    rules: tuple[Rule, ...] = ()

    @property
    def payer(self) -> Rule | None:
        """The rule for which bytes flow now."""
        return next((rule for rule in self.rules if self.spending.closed(rule) is None), None)

    @property
    def paced_by(self) -> str:
        """The first of its rules, where each has a pace of its own; empty where one has none."""
        return self.rules[0].name if self.rules and all(map(self.spending.has_pace, self.rules)) else ""

    @property
    def closed(self) -> str | None:
        """Why no byte may flow now; None where one may."""
        if not self.rules or self.payer is not None:
            return None
        return self.spending.closed(self.rules[0])

    async def take(self, size: int) -> None:
        """Note `size` bytes that came, and return when they may pass."""
        await self.spending.take(self.payer, size)


class PacedBlobs:
    """Implements `ports.blobs.BlobSource`: the blobs of another, as fast as a flow lets them. `flow` gives the one that
    is open at the moment, None where none is needed; `OutsideWindow`."""

    def __init__(self, source: BlobSource, flow: Callable[[], Flow | None]) -> None:
        self._source = source
        self._flow = flow

    async def stat(self, digest: Digest) -> BlobInfo:
        """As the source says."""
        return await self._source.stat(digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """As the source has it; its pieces come when they may."""
        async with self._source.open(digest, span) as reading:
            yield _Paced(reading, self._flow)

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """As the source has it."""
        return await self._source.chunk_map(digest, span)


class _Paced(Streamed):
    """Implements `ports.blobs.Reading`."""

    def __init__(self, reading: Reading, flow: Callable[[], Flow | None]) -> None:
        self._reading = reading
        self._flow = flow
        self.info = reading.info
        self.span = reading.span

    @property
    def provenance(self) -> Provenance:
        return self._reading.provenance

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in in_memory(self._reading):
            if urgency().background and (flow := self._flow()) is not None:
                await flow.take(len(piece))
            yield piece
