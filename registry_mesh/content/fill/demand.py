"""What a fill's readers want of the streams that bring it: whether a stream goes on, waits for them, or ends."""

from __future__ import annotations

import asyncio
import enum
from contextlib import suppress
from time import monotonic
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.phases import MapPhase
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.stripes import TransferStripes
from registry_mesh.content.fill.transfer import Transfer
from registry_mesh.ports.partial import Claims

ELSEWHERE: Final = 0.02
"""Seconds between two looks, of a transfer that waits for slow readers, at whether another process wants more."""


class TransferStep(enum.Enum):
    """What a transfer does when its next bytes are here."""

    GO = "take them"
    WAIT = "until a reader has moved, or `ELSEWHERE` seconds"
    END = "nobody wants them"


class TransferDemand:
    """Of one fill, here and in other processes, whose wants `claims` has."""

    def __init__(self, state: FillState, claims: Claims, stripes: TransferStripes) -> None:
        self._state = state
        self._policy = state.policy
        self._claims = claims
        self._stripes = stripes

    async def wanted(self, transfer: Transfer) -> bool:
        """Hold a transfer back while it is a window ahead of every reader; False where nobody wants more of it, or all
        have stood still for too long.

        It never ends inside a chunk: the bytes on their way are kept.
        """
        moved, loop = self._state.readers.moved, asyncio.get_running_loop()
        try:
            while (decided := self._next(transfer, loop.time())) is TransferStep.WAIT:
                moved.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(ELSEWHERE):
                        await moved.wait()
            return decided is TransferStep.GO
        finally:
            if transfer.waits_since is not None:
                transfer.waits_since, transfer.moved_at = None, monotonic()

    def _next(self, transfer: Transfer, now: float) -> TransferStep:
        """What it does. Where it is to end behind the chunk under way, it is told so, and goes on until then."""
        if self._state.map_phase is MapPhase.LACKING:
            return TransferStep.END
        if self._steps_back(transfer):
            return TransferStep.WAIT
        if self._policy.complete_after <= 0:
            return TransferStep.GO
        room = self._room(transfer)
        if room > 0 or (room == 0 and self._wanted_elsewhere(transfer)):
            return TransferStep.GO
        if transfer.waits_since is None:
            transfer.waits_since = now
        if now - transfer.waits_since > self._policy.patience:
            transfer.dismissed = True
        if room == 0 and not transfer.dismissed:
            return TransferStep.WAIT
        if not self._state.nearly_whole:
            transfer.end_with_chunk()
        return TransferStep.GO if transfer.received < transfer.end else TransferStep.END

    def _steps_back(self, transfer: Transfer) -> bool:
        """Whether it makes way for clients who wait for other bytes of its source, as no client waits for these."""
        if transfer.urgency.background and self._wanted_elsewhere(transfer):
            transfer.urgency.hurry()
        return transfer.step_back.waits(transfer.via.rivals, transfer.source)

    def _room(self, transfer: Transfer) -> int:
        if transfer.unasked:
            return 1
        begun = transfer.received - transfer.chunks.start * CHUNK
        if not self._state.readers.followed and begun < self._stripes.window:
            return 1
        return self._state.readers.room(transfer.received, transfer.end, self._stripes.window)

    def _wanted_elsewhere(self, transfer: Transfer) -> bool:
        """Whether readers of another process want more, a window of it at a time."""
        wanted = self._claims.take_want(range(transfer.received // CHUNK, transfer.chunks.stop))
        if wanted is not None:
            transfer.granted = transfer.received + self._policy.window
        return transfer.received < transfer.granted
