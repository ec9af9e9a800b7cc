"""Records that a cache needs no longer, dropped again and again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from registry_mesh.config.schema import Config
from registry_mesh.content.nest.old_records import drop_old_records
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.storage import Storage
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_DAY: Final = 86_400.0
_FIRST: Final = 3600.0
"""Seconds until the first time."""
_EVERY: Final = _DAY
_EVERY_THERE: Final = 7 * _DAY
"""The same in a bucket, where each look costs."""
_LEAST: Final = 30 * _DAY
"""Seconds for which records of a registry are kept that is configured no more."""


class RecordUpkeep:
    """Of a node whose store is a cache; `dropped` is called when records were."""

    def __init__(self, config: Config, storage: Storage, dropped: Callable[[], None]) -> None:
        self._config = config
        self._storage = storage
        self._dropped = dropped

    async def follow(self) -> None:
        """Never ends. Hosts that start together take turns."""
        every = _EVERY if self._storage.records_are_near else _EVERY_THERE
        await asyncio.sleep(_FIRST * random.uniform(1, 2))
        while True:
            try:
                await self.look(time.time())
            except Failure as fault:
                log.warning("cannot drop old records", extra={FIELDS: {"why": fault.reason}})
            await asyncio.sleep(every * random.uniform(0.9, 1.1))

    async def look(self, now: float) -> None:
        """Look once, at `now` in seconds since the epoch. `StoreBroken`."""
        if self._storage.cache is None:
            return
        count = await drop_old_records(self._storage.records, self._storage.cache, now - self._kept())
        if count:
            self._dropped()
            log.info("old records were dropped", extra={FIELDS: {"records": count}})

    def _kept(self) -> float:
        """Seconds after which no registry's tags are answered any more."""
        tags = (registry.tags for registry in self._config.registries.values())
        return max((max(each.offline_grace, each.stale_if_error) + each.ttl for each in tags), default=_LEAST)
