"""What other processes bring of a fill."""

from __future__ import annotations

import asyncio
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.state import FillState
from registry_mesh.ports.partial import ChunkState, Claims

POLLS: Final = 10
"""Looks at the shared states before every reader asks again: the process that held a claim may have died."""


class ClaimsElsewhere:
    """Wakes the readers of one fill whose next chunk another process has claimed, once it is here or given up."""

    def __init__(self, state: FillState, claims: Claims) -> None:
        self._state = state
        self._claims = claims
        self._polling: asyncio.Task[None] | None = None

    def want(self, index: int) -> None:
        """A reader waits for a chunk that another process has claimed."""
        self._claims.want(index)
        if self._polling is None:
            self._polling = asyncio.get_running_loop().create_task(self._poll())

    async def _poll(self) -> None:
        state = self._state
        for _ in range(POLLS):
            await asyncio.sleep(state.policy.poll)
            if state.outcome.committed or state.outcome.discarded:
                break
            for reader in state.readers:
                if state.marks.state(reader.position // CHUNK) != ChunkState.MISSING:
                    reader.wake()
        self._polling = None
        state.readers.wake_now()

    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs on its behalf."""
        return [self._polling] if self._polling is not None else []
