"""The scrub of a node's disk, with its parents to repair from: connected to only where something has rotted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from registry_mesh.admin.status import ScrubStatus
from registry_mesh.assembly.menders import by_repository, menders
from registry_mesh.assembly.parents import Parents, Seen
from registry_mesh.assembly.repositories import open_repositories
from registry_mesh.assembly.roles import open_site
from registry_mesh.assembly.storage import cache_of
from registry_mesh.config.schema import Config
from registry_mesh.content.scrub import Pace, Repair, Scrub, Told, wait_for_next
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.storage import LocalDisk, Storage
from registry_mesh.roles.repair import ReplicaRepair, SiteRepair
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)


class Scrubber:
    """Of `disk`, which is what of `storage` lies on one."""

    def __init__(
        self,
        config: Callable[[], Config],
        storage: Storage,
        disk: LocalDisk,
        instruments: Instruments,
        seen: Seen | None = None,
    ) -> None:
        self._seen = seen
        self._config = config
        self._storage = storage
        self._instruments = instruments
        told = Told(
            instruments.counter(names.SCRUBBED_BYTES).add,
            instruments.counter(names.ROTTEN).add,
            instruments.counter(names.REPAIRED).add,
        )
        self._scrub = Scrub(disk.inspection, disk.records, self._repair, self._pace, told)

    def _pace(self) -> Pace:
        return Pace(self._config().scrub.rate, self._config().scrub.every)

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
            next_in_seconds=wait_for_next(progress, self._pace(), now),
        )

    async def _repair(self, digest: Digest, spans: Sequence[Span]) -> bool:
        mended = False
        try:
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
