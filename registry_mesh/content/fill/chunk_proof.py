"""Chunks of a fill, proven one by one: by the chunk map of a parent of our kind, where there is one.

The map is asked for together with the first bytes. Chunks that come before it are left unmarked (`early`): until it
is known whether there is a map nobody takes them for held, not another process, and not the next one to open the
hold after this one died.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap, chunk_span
from registry_mesh.content.fill.policy import LOOK
from registry_mesh.content.fill.state import FillState, MapPhase
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure, SourceDown, SourceLied, SourceUnavailable
from registry_mesh.ports.partial import ChunkState

_log: Final = logging.getLogger(__name__)

PAUSES: Final = (0.0, 0.1, 0.3, 0.6)
"""Seconds before each try to get the chunk map."""


class ChunkProof:
    """Proves the chunks of one fill, and marks them in its hold. It moves `FillState.map_phase`."""

    def __init__(self, state: FillState) -> None:
        self._state = state
        self.map: ChunkMap | None = None
        self.early: dict[int, bytes | None] = {}
        """Chunks that came before the map, and their sums."""
        self._asking: dict[str, asyncio.Task[None]] = {}  # registry → who asks its parents
        self._settling = False
        self._rejected: dict[int, dict[str, bytes]] = {}  # chunk → source → the sum it had from there

    def begin(self, via: Via, *, first: bool) -> None:
        """Ask for the map: when the `first` bytes are asked for, again while it could not be had, and of the parents of
        another registry while one's do not answer."""
        phase = self._state.map_phase
        due = phase in (MapPhase.LACKING, MapPhase.ASKING) or (first and self.map is None)
        if due and not self._settling and via.registry not in self._asking:
            self._state.map_phase = MapPhase.ASKING
            task = asyncio.get_running_loop().create_task(self._fetch(via))
            self._asking[via.registry] = task

    async def settled(self) -> None:
        """Return when it is known what the chunks are that came before the map."""
        while self._asking and (self._settling or self._state.map_phase is MapPhase.ASKING):
            await asyncio.wait(self._asking.values(), return_when=asyncio.FIRST_COMPLETED)

    def take(self, index: int, summed: bytes | None, source: str) -> None:
        """Chunk `index` is written; `summed` is its sha256, where it was seen whole. It is proven, or missing again
        and `SourceLied` raised."""
        marks, phase = self._state.marks, self._state.map_phase
        if phase is MapPhase.ASKING:
            self.early[index] = summed
        elif phase is not MapPhase.THERE:
            marks.mark(index, ChunkState.MISSING if phase is MapPhase.LACKING else ChunkState.UNPROVEN)
        elif summed is None:
            marks.mark(index, ChunkState.UNPROVEN)
            self._state.spawn(self._prove(index, None))
        elif self._fits(index, summed):
            marks.mark(index, ChunkState.PROVEN)
        else:
            self._state.throw_away(index)
            self._reject(index, summed, source)

    def prove_later(self, index: int, via: Via) -> None:
        """A chunk that is written and not proven is wanted."""
        if self._state.map_phase is MapPhase.LACKING:
            self.begin(via, first=False)
        if self.map is not None and self._state.marks.state(index) == ChunkState.UNPROVEN:
            self._state.spawn(self._prove(index, None))

    def _fits(self, index: int, summed: bytes) -> bool:
        assert self.map is not None
        return self.map.sums[index * 32 : index * 32 + 32] == summed

    def _reject(self, index: int, summed: bytes, source: str) -> None:
        """A chunk that is not what the map says. Two sources that agree against the map convict the map."""
        seen = self._rejected.setdefault(index, {})
        agree = any(other != source and other and value == summed for other, value in seen.items())
        seen[source] = summed
        if agree:
            self.map, self._state.map_phase = None, MapPhase.NONE
        raise SourceLied(f"chunk {index} does not fit the chunk map", source=source)

    # -- the map ----------------------------------------------------------------------------------------------

    async def _fetch(self, via: Via) -> None:
        try:
            found = await self._ask(via)
            others = len(self._asking) > 1
            if self.map is None and not (others and isinstance(found, Failure)):
                self._found(found, via)
                await self._settle_all()
        except Failure as failure:  # of the store
            self._state.fail(failure)
        except Exception as fault:
            _log.exception("%s: asking for its chunk map failed", self._state.digest)
            self._found(SourceUnavailable(f"its chunk map: {fault!r}"), via)
        finally:
            del self._asking[via.registry]
            if self._state.map_phase is not MapPhase.ASKING:
                self.early.clear()  # unmarked, they are missing
            self._state.readers.wake_now()

    def _found(self, found: ChunkMap | Failure | None, via: Via) -> None:
        """The end of ASKING."""
        if isinstance(found, Failure):
            self._state.map_phase = MapPhase.LACKING
            self._state.fail(found, via)
        else:
            self.map, self._state.map_phase = found, MapPhase.NONE if found is None else MapPhase.THERE

    async def _ask(self, via: Via) -> ChunkMap | Failure | None:
        """The map; None where there is none; what keeps it from coming."""
        state = self._state
        failure: Failure | None = None
        for pause in PAUSES:
            if pause:
                await asyncio.sleep(pause)
            try:
                found = await via.source.chunk_map(state.digest)
            except Refusal:
                return None
            except SourceDown as down:
                return down
            except Failure as again:
                failure = again
                continue
            if found is None or found.size == state.size:
                return found
            failure = SourceLied(f"a chunk map of {found.size} bytes; the blob has {state.size}")
            state.blame(failure.reason)
        return failure

    async def _settle_all(self) -> None:
        """Say of every chunk that is here what it is."""
        self._settling = True
        try:
            while self.early:  # more may come while one of them is read
                index, summed = next(iter(self.early.items()))
                await self._settle(index, summed)
                self.early.pop(index, None)
            if self.map is not None:
                await self._prove_held()
        finally:
            self._settling = False

    async def _settle(self, index: int, summed: bytes | None) -> None:
        """Say what a chunk is that came before the map."""
        if self.map is not None:
            await self._prove(index, summed)
        else:
            lacking = self._state.map_phase is MapPhase.LACKING
            self._state.marks.mark(index, ChunkState.MISSING if lacking else ChunkState.UNPROVEN)

    async def _prove_held(self) -> None:
        """What was held before this fill, from a parent without maps."""
        for index in range(self._state.chunks):
            if index % LOOK == 0:
                await asyncio.sleep(0)
            if self._state.marks.state(index) == ChunkState.UNPROVEN:
                await self._prove(index, None)

    async def _prove(self, index: int, summed: bytes | None) -> None:
        """A chunk that was written before its map was here."""
        state = self._state
        if self.map is None:
            return
        if summed is None:
            hasher = Digest("sha256", "").hasher()
            await state.bytes.feed(chunk_span(index, state.size), hasher.update)
            summed = hasher.digest()
        if self.map is not None and self._fits(index, summed):
            state.marks.mark(index, ChunkState.PROVEN)
        else:
            state.throw_away(index)
            state.blame(f"chunk {index} does not fit the chunk map")
        state.readers.wake_now()

    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs on its behalf."""
        return list(self._asking.values())
