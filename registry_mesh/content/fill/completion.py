"""The end of a fill: once every chunk is here, the whole is proven and committed."""

from __future__ import annotations

import asyncio

from registry_mesh.content.fill.chunk_proof import ChunkProof
from registry_mesh.content.fill.phases import Phase
from registry_mesh.content.fill.said import check_said
from registry_mesh.content.fill.state import FillState
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import Failure


class FillCompletion:
    """Leads one fill from WRITTEN to COMMITTED, or to LIED where the digest does not fit. One process at a time tries
    it; the others wait for what comes of it."""

    def __init__(self, state: FillState, proof: ChunkProof, store: CacheStore) -> None:
        self._state = state
        self._proof = proof
        self._store = store
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Have it done, unless it is under way."""
        if self._running is None:
            self._running = self._state.spawn(self._prove_whole())

    async def _prove_whole(self) -> None:
        state = self._state
        try:
            while state.hold_phase is Phase.WRITTEN:
                async with self._store.lock(state.digest, "commit") as mine:
                    if mine and not state.outcome.committed:
                        await self._commit()
                if not mine:
                    await asyncio.sleep(state.policy.poll)
        except Failure as failure:
            state.troubles.fail(failure)
        finally:
            self._running = None
            state.readers.wake_now()

    async def _commit(self) -> None:
        state = self._state
        if state.vouched.whole or await self._fits():
            await state.outcome.commit(await self._proof.whole_map())
            await check_said(self._store, state.digest, state.size)
        elif state.hold_phase is Phase.WRITTEN:
            state.lie()
            await state.outcome.discard()

    async def _fits(self) -> bool:
        """Whether the whole has its digest; False too where some of it is missing again."""
        state = self._state
        while state.digest_proof.offset < state.size:
            before = state.digest_proof.offset
            await state.digest_proof.catch_up()
            if state.digest_proof.offset == before:
                if state.hold_phase is not Phase.WRITTEN:
                    return False
                await asyncio.sleep(state.policy.poll)
        return state.digest_proof.fits()
