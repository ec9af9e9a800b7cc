"""A node's figures of the last 24 hours, and its last refusals, kept beside what is stored: they outlive a restart."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from registry_mesh.admin.status import DayStatus, saved, share
from registry_mesh.assembly.labels import own_record
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.telemetry import names
from registry_mesh.telemetry.events import Events, decode
from registry_mesh.telemetry.instruments import Table
from registry_mesh.telemetry.last_day import LastDay
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

SAVE_EVERY: Final = 5.0
"""Seconds between two times of saving on a disk: as much is lost by kill -9."""
SAVE_EVERY_THERE: Final = 60.0
"""The same in a bucket, where each costs."""

PATIENCE: Final = 5.0
"""Seconds for saving: a bucket that hangs does not hold up the end of a node."""


class Figures:
    """Of one node, by its name: several may keep their records in one bucket."""

    def __init__(
        self,
        records: KeyedRecords,
        node: str,
        table: Table,
        clock: Callable[[], float] = time.time,
        every: float = SAVE_EVERY,
        events: Events | None = None,
    ) -> None:
        """`events`: what was refused or failed, to be kept as well."""
        self._records = records
        self._every = every
        self._key = own_record("figures", node)
        self._events_key = own_record("events", node)
        self._events = events or Events()
        self._table = table
        self._clock = clock
        self._day = LastDay()

    async def follow(self) -> None:
        """Save again and again."""
        while True:
            await self.save()
            await asyncio.sleep(self._every)

    async def save(self) -> None:
        """Add what was counted since, and save it. What is saved may be of another process, which goes before."""
        try:
            async with asyncio.timeout(PATIENCE):
                saved = LastDay.decode(await self._records.get(self._key))
                self._day = saved.noted(self._table.life, totals(self._table), self._clock())
                await self._records.put(self._key, self._day.encode())
                told = await self._records.get(self._events_key)
                self._events.merge(decode(told))
                if (known := self._events.encode()) != (told or b"[]"):
                    await self._records.put(self._events_key, known)
        except (Failure, OSError) as fault:
            log.debug("cannot save figures", extra={FIELDS: {"why": str(fault)}})

    def _up_to_now(self) -> tuple[LastDay, float]:
        now = self._clock()
        return self._day.noted(self._table.life, totals(self._table), now), now

    def status(self) -> DayStatus:
        """The last 24 hours, up to now."""
        day, now = self._up_to_now()
        sums = day.sums(now)
        answers = {result: float(sums.get(f"answers/{result}", 0)) for result in names.RESULTS}
        sizes = {result: float(sums.get(f"bytes/{result}", 0)) for result in names.RESULTS}
        return DayStatus(
            since=day.since(now),
            requests=sums.get("requests", 0),
            pulls=sums.get("pulls", 0),
            failures=sums.get("failures", 0),
            sent_bytes=sums.get("sent_bytes", 0),
            upstream_bytes=sums.get("upstream_bytes", 0),
            saved_bytes=saved(sizes),
            hit_ratio_requests=share(answers),
            hit_ratio_bytes=share(sizes),
            evicted_bytes=sums.get("evicted_bytes", 0),
            refetched_bytes=sums.get("refetched_bytes", 0),
            replicated_bytes=sums.get("replicated_bytes", 0),
        )

    def received(self) -> dict[tuple[str, str], int]:
        """Bytes of the last 24 hours, by registry and parent."""
        day, now = self._up_to_now()
        sums = day.sums(now)
        from_ = (name.split("/", 2) for name in sums if name.startswith("from/"))
        return {(registry, parent): sums[f"from/{registry}/{parent}"] for _, registry, parent in from_}


_PLAIN: Final = {
    names.REQUESTS.name: "requests",
    names.SENT_BYTES.name: "sent_bytes",
    names.UPSTREAM_BYTES.name: "upstream_bytes",
    names.EVICTED_BYTES.name: "evicted_bytes",
    names.REFETCHED_BYTES.name: "refetched_bytes",
    names.REPLICATED_BYTES.name: "replicated_bytes",
}
_BY_RESULT: Final = {names.CACHE.name: "answers", names.CACHE_BYTES.name: "bytes"}
_PULLS: Final = tuple((what, how) for what in ("blob", "manifest") for how in ("GET", "HEAD"))
"""End points and methods of requests for content."""
_TOLD: Final = tuple(
    metric
    for metric in names.METRICS
    if metric.name in _PLAIN or metric.name in _BY_RESULT or metric is names.FAILURES
)


def totals(table: Table) -> dict[str, int]:
    """The counters whose last day is told, by the names that they are kept under."""
    found: dict[str, int] = {}
    for sample in table.used(*_TOLD):
        if sample.metric is names.UPSTREAM_BYTES:
            found["from/" + "/".join(sample.labels)] = int(sample.value)
        if sample.metric is names.REQUESTS and sample.labels[1:3] in _PULLS:
            found["pulls"] = found.get("pulls", 0) + int(sample.value)
        name = _PLAIN.get(sample.metric.name, "")
        if (kept := _BY_RESULT.get(sample.metric.name)) is not None:
            name = f"{kept}/{sample.labels[2]}"
        elif sample.metric is names.FAILURES and sample.labels[1] != "caller":
            name = "failures"
        if name:
            found[name] = found.get(name, 0) + int(sample.value)
    return found
