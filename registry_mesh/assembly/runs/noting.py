"""A run and its row in the history: a history that cannot be written stops no run."""

from __future__ import annotations

import logging
from typing import Final

from registry_mesh.content.snapshot.records.history import HANDED, STOPPED, Run, RunHistory
from registry_mesh.ports.failures import Failure
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)


class Noting:
    """The rows of the runs of one process, one run after the other."""

    def __init__(self, history: RunHistory) -> None:
        self._history = history
        self.cut = STOPPED
        """Why a run is cut off, where it is."""
        self.unnoted = ""
        """Why the run that began last is not in the history, or not as it ended; empty where it is."""

        self.under_way: Run | None = None
        """The run that has begun and not ended."""

    def hand_over(self) -> None:
        """Say that another process is about to go on with the run under way."""
        self.cut = HANDED

    def cut_for(self, why: str) -> None:
        """Say why the run under way is about to be cut off; one that is handed over stays so."""
        self.cut = HANDED if self.cut == HANDED else why

    async def begin(self, run: Run) -> Run:
        """Note a run that begins; return it as it was noted."""
        self.unnoted = ""
        try:
            run = await self._history.begin(run)
        except Failure as fault:
            self._cannot(fault)
        self.under_way = run
        return run

    async def end(self, run: Run) -> None:
        """Note how it ended."""
        self.under_way = None
        try:
            await self._history.note(run)
        except Failure as fault:
            self._cannot(fault)

    def _cannot(self, fault: Failure) -> None:
        log.warning("the history of runs cannot be written", extra={FIELDS: {"why": fault.reason}})
        self.unnoted = self.unnoted or f"this run is not in the history of runs: {fault.reason}"
