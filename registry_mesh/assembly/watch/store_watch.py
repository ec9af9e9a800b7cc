"""Whether a node's store can be used, looked at again and again, and cleaned up behind what died."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from registry_mesh.assembly.sources.storage import write_fault
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.holdings import StoreAccount
from registry_mesh.ports.storage import Storage
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_LOOK: Final = 2.0
"""Seconds between two looks."""

_SUM: Final = 60.0
"""Seconds between two sums of what is held: they read a row for each blob."""

_TIDY: Final = 3600.0
"""Seconds between two times of tidying up."""


class StoreWatch:
    """Of an open store. `fault` is what keeps it from being written to; None where nothing does."""

    def __init__(self, storage: Storage, instruments: Instruments) -> None:
        self._storage = storage
        self._faulty = instruments.gauge(names.STORE_FAULTY)
        self.fault: str | None = None
        self.account = StoreAccount()
        """What its bytes are of, as of the last minute."""

    async def follow(self) -> None:
        """Raise the alarm while the disk cannot be written to, or the bucket not be reached; say once when that begins
        and ends."""
        while True:
            fault = await write_fault(self._storage)
            if fault is not None and self.fault is None:
                log.error(
                    "the store cannot be written to: pulls go on without it", extra={FIELDS: {"why": fault}}
                )
            elif fault is None and self.fault is not None:
                log.warning("the store can be written to again", extra={FIELDS: {"was": self.fault}})
            self.fault = fault
            self._faulty.set(int(fault is not None))
            await asyncio.sleep(_LOOK)

    async def sum_up(self) -> None:
        """Add up what is held, now and every minute."""
        while True:
            if self._storage.holdings is not None:
                self.account = await self._storage.holdings.account()
            await asyncio.sleep(_SUM)

    async def tidy(self) -> None:
        """Clean up behind what died, now and every hour."""
        while True:
            try:
                await self._storage.tidy()
            except Failure as fault:
                log.warning("cannot tidy the store", extra={FIELDS: {"why": fault.reason}})
            await asyncio.sleep(_TIDY)
