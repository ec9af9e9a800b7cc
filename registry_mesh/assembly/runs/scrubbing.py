"""The scrub of a node's disk, with its parents to repair from: connected to only where something has rotted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from registry_mesh.admin.run_status import ScrubStatus
from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.runs.menders import by_repository, menders
from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.roles import open_site
from registry_mesh.assembly.sources.storage import cache_of
from registry_mesh.config.schema import Config
from registry_mesh.content.scrub import KEY, Pace, Repair, Scrub, Told, wait_for_next
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.inspection import Inspectable
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.storage import Storage
from registry_mesh.ports.urgency import unhurried
from registry_mesh.roles.repair import ReplicaRepair, SiteRepair
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments
from registry_mesh.telemetry.logs import FIELDS

_DAY: Final = 86_400

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What one scrub reads again, where it notes how far it is, and at what pace it goes."""

    held: Inspectable
    records: KeyedRecords
    pace: Callable[[Config], Pace]
    key: str = KEY
    budgeted: bool = False


def scrubbed(config: Config, storage: Storage) -> list[Scrubbed]:
    """What of a node's store is read again: its disk, and its bucket. Of hosts that share a bucket each reads all of
    it, within its own budget."""
    found = []
    if storage.disk is not None:
        found.append(Scrubbed(storage.disk.inspection, storage.disk.records, _pace_of_disk))
    if storage.beyond is not None:
        key = f"scrub/bucket-{node_name(config)}"
        found.append(Scrubbed(storage.beyond, storage.records, _pace_of_bucket, key, budgeted=True))
    return found


def _pace_of_disk(config: Config) -> Pace:
    return Pace(config.scrub.rate, config.scrub.every)


def _pace_of_bucket(config: Config) -> Pace:
    """A new blob rests for a day: hosts that lack it bring it over the same link."""
    every = config.scrub.every
    return Pace(-(-config.scrub.per_day // _DAY), every, rest=min(every, _DAY))


class Scrubber:
    """Of one thing that holds what `storage` holds."""

    def __init__(
        self,
        config: Callable[[], Config],
        storage: Storage,
        what: Scrubbed,
        instruments: Instruments,
        seen: Seen | None = None,
    ) -> None:
        self._what = what
        self._seen = seen
        self._config = config
        self._storage = storage
        self._instruments = instruments
        told = Told(
            instruments.counter(names.SCRUBBED_BYTES).add,
            instruments.counter(names.ROTTEN).add,
            instruments.counter(names.REPAIRED).add,
        )
        self._scrub = Scrub(what.held, what.records, self._repair, self._pace, told, key=what.key)

    def _pace(self) -> Pace:
        return self._what.pace(self._config())

    async def repeat(self) -> None:
        """Scrub, again and again, until it is cancelled."""
        await self._scrub.repeat()

    def tell(self) -> None:
        """Set the gauge."""
        self._instruments.gauge(names.SCRUBBED_AT).set(int(self._scrub.progress.completed))

    def status(self) -> ScrubStatus:
        """The walk under way, or the last one."""
        progress, now = self._scrub.progress, time.time()
        last = progress.last
        return ScrubStatus(
            running=progress.running,
            age_seconds=round(now - progress.completed, 1) if progress.completed else None,
            done=round(int(last.hex[:8], 16) / (1 << 32), 4) if progress.running and last else None,
            read_bytes=progress.read,
            rotten=progress.rotten,
            repaired=progress.repaired,
            budgeted=self._what.budgeted,
            next_in_seconds=wait_for_next(progress, self._pace(), now),
        )

    async def _repair(self, digest: Digest, spans: Sequence[Span]) -> bool:
        mended = False
        try:
            with unhurried():
                mended = await self._bring(digest, spans)
        finally:
            what = {"digest": str(digest), "chunks": len(spans), "repaired": mended}
            log.warning("stored bytes have rotted", extra={FIELDS: what})
        return mended

    async def _bring(self, digest: Digest, spans: Sequence[Span]) -> bool:
        async with AsyncExitStack() as stack:
            parents = await stack.enter_async_context(menders(self._config(), self._instruments, self._seen))
            repair = (
                self._of_site(parents, stack) if self._config().role == "site" else self._of_replica(parents)
            )
            return await repair(digest, spans)

    def _of_site(self, parents: Parents, stack: AsyncExitStack) -> Repair:
        site = open_site(self._config(), self._storage, parents, stack)
        return SiteRepair(
            cache_of(self._storage), lambda place: site.repository(place.registry, place.repository)
        )

    def _of_replica(self, parents: Parents) -> Repair:
        repositories = open_repositories(self._config(), self._storage)
        return ReplicaRepair(repositories, by_repository(self._config(), parents))
