"""Chunks of a fill, proven one by one: by the chunk map of a parent of our kind, where there is one.

The map is asked for together with the first bytes: its upper level, and the pages of what is wanted. More pages come as
more is wanted. Chunks that come before their sums are left unmarked (`early`): until it is known whether there is a map
nobody takes them for held, not another process, and not the next one to open the hold after this one died.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from registry_mesh.chunks.chunk_map import PAGE, ChunkMap, ChunkMapsDiffer, chunk_span
from registry_mesh.chunks.sums import ChunkSum
from registry_mesh.content.fill.map_request import ASKED, WantedSums, ask_for_map
from registry_mesh.content.fill.phases import MapPhase
from registry_mesh.content.fill.policy import LOOK
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure, SourceLied, SourceUnavailable
from registry_mesh.ports.partial import ChunkState

_log: Final = logging.getLogger(__name__)

WHOLE_MAP: Final = 2.0
"""Seconds that a blob which is all here waits at most for the pages of its map that nobody needed so far."""


class ChunkProof:
    """Proves the chunks of one fill, and marks them in its hold. It moves `FillState.map_phase`."""

    def __init__(self, state: FillState) -> None:
        self._state = state
        self.map: ChunkMap | None = None
        """As much of it as is here."""
        self.early: dict[int, ChunkSum | None] = {}
        """Chunks that came before their sums in the map, and what they were summed to."""
        self._wanted = WantedSums()
        self._asking: dict[str, asyncio.Task[None]] = {}  # registry → who asks its parents
        self._via: Via | None = None  # through which it was last asked for
        self._settling = False
        self._rejected: dict[int, dict[str, ChunkSum]] = {}  # chunk → source → the sum it had from there

    def begin(self, via: Via, chunks: range, *, first: bool) -> None:
        """Ask for the sums of `chunks`: when the `first` bytes are asked for, when more of the map is needed, again
        while it could not be had, and of the parents of another registry while one's do not answer."""
        phase = self._state.map_phase
        if self.map is not None:
            due = phase.proves and not self._knows(chunks)
        else:
            due = first or phase in (MapPhase.LACKING, MapPhase.ASKING)
        if not due:
            if self.map is not None and phase is MapPhase.LACKING:
                self._state.map_phase = MapPhase.THERE
            return
        self._via = via
        self._wanted.add(chunks)
        if not self._settling and via.registry not in self._asking:
            self._state.map_phase = MapPhase.ASKING
            task = asyncio.get_running_loop().create_task(self._fetch(via))
            self._asking[via.registry] = task

    def _knows(self, chunks: range) -> bool:
        stop = min(chunks.stop, chunks.start // PAGE * PAGE + ASKED)
        pages = range(chunks.start // PAGE, -(-stop // PAGE))
        return self.map is not None and all(page in self.map.pages for page in pages)

    async def settled(self) -> None:
        """Return when it is known what the chunks are that came before their sums."""
        while self._asking and (self._settling or self.early or self._state.map_phase is MapPhase.ASKING):
            await asyncio.wait(self._asking.values(), return_when=asyncio.FIRST_COMPLETED)

    def take(self, index: int, summed: ChunkSum | None, source: str) -> None:
        """Chunk `index` is written; `summed` is its sum, where it was seen whole. It is proven, or missing again and
        `SourceLied` raised."""
        marks, phase = self._state.marks, self._state.map_phase
        if self.map is not None and phase.proves and self.map.knows(index):
            self._take_known(self.map, index, summed, source)
        elif phase in (MapPhase.ASKING, MapPhase.THERE):
            self.early[index] = summed
            if self.map is not None:
                self._want(index)
        else:
            marks.mark(index, ChunkState.MISSING if phase is MapPhase.LACKING else ChunkState.UNPROVEN)

    def _take_known(self, known: ChunkMap, index: int, summed: ChunkSum | None, source: str) -> None:
        if summed is None or summed.algorithm is not known.algorithm:
            self._state.marks.mark(index, ChunkState.UNPROVEN)
            self._state.spawn(self._prove(index, None))
        elif summed == known.sum(index):
            self._state.prove(index)
        else:
            self._state.throw_away(index)
            self._reject(index, summed, source)

    def prove_later(self, index: int, via: Via) -> None:
        """A chunk that is written and not proven is wanted."""
        known = self.map is not None and self.map.knows(index)
        if self._state.map_phase is MapPhase.LACKING or (self.map is not None and not known):
            self.begin(via, self._from(index), first=False)
        if known and self._state.marks.state(index) == ChunkState.UNPROVEN:
            self._state.spawn(self._prove(index, None))

    def _want(self, index: int) -> None:
        if self._via is not None:
            self.begin(self._via, self._from(index), first=False)

    def _from(self, index: int) -> range:
        return range(index, min(self._state.chunks, (index // PAGE + 1) * PAGE))

    def _reject(self, index: int, summed: ChunkSum, source: str) -> None:
        """A chunk that is not what the map says. Two sources that agree against the map convict the map."""
        seen = self._rejected.setdefault(index, {})
        agree = any(other != source and other and value == summed for other, value in seen.items())
        seen[source] = summed
        if agree:
            self.map, self._state.map_phase = None, MapPhase.NONE
        raise SourceLied(f"chunk {index} does not fit the chunk map", source=source)

    # -- the map ----------------------------------------------------------------------------------------------

    async def whole_map(self) -> ChunkMap | None:
        """The map to be kept beside the blob; None where there is none, or not all of it can be had now."""
        if self.map is None or self.map.whole or self._via is None:
            return self.map
        with suppress(Failure, Refusal, ChunkMapsDiffer, TimeoutError):
            async with asyncio.timeout(WHOLE_MAP):
                found = await self._via.source.chunk_map(self._state.digest)
            if found is not None and (joined := self.map.joined(found)).whole:
                return joined
        return None

    async def _fetch(self, via: Via) -> None:
        try:
            while (wanted := self._wanted.next(self.map)) is not None:
                self._state.map_phase = MapPhase.ASKING
                found = await ask_for_map(self._state, via, wanted)
                if isinstance(found, Failure) and (len(self._asking) > 1 or not self._wanted.next(self.map)):
                    return  # another's parents tell, or have told
                found = await self._signed(found, via)
                self._found(found, via)
                await self._settle_all(found.pages if isinstance(found, ChunkMap) else ())
        except Failure as failure:  # of the store
            self._state.troubles.fail(failure)
        except Exception as fault:
            _log.exception("%s: asking for its chunk map failed", self._state.digest)
            self._found(SourceUnavailable(f"its chunk map: {fault!r}"), via)
        finally:
            del self._asking[via.registry]
            self._leave()
            self._state.readers.wake_now()

    async def _signed(self, found: ChunkMap | Failure | None, via: Via) -> ChunkMap | Failure | None:
        """A map that is not the one signed is none, and its parent is told of."""
        if isinstance(found, ChunkMap):
            try:
                await self._state.vouched.look(found, self._state.digest, via.signed)
            except SourceLied as lie:
                self._state.blame(lie.reason)
                return lie
        return found

    def _leave(self) -> None:
        """Nothing that is wanted is left to be asked for, or nobody can tell."""
        if self._asking:
            return
        if self._state.map_phase is MapPhase.ASKING and self.map is not None:
            self._state.map_phase = MapPhase.THERE
        if self._state.map_phase is not MapPhase.ASKING:
            self.early.clear()  # unmarked, they are missing

    def _found(self, found: ChunkMap | Failure | None, via: Via) -> None:
        """The end of ASKING."""
        if found is None and self._state.disputed:
            self.map = None
        if found is None and self.map is not None:
            found = SourceUnavailable("no parent has more of the chunk map that one of them began to give")
        if isinstance(found, ChunkMap):
            self._took(found)
            return
        self._wanted.drop()
        if found is None:
            self._state.map_phase = MapPhase.NONE
        else:
            self._state.map_phase = MapPhase.LACKING
            self._state.troubles.fail(found, via)

    def _took(self, found: ChunkMap) -> None:
        try:
            self.map = found if self.map is None else self.map.joined(found)
        except ChunkMapsDiffer as differ:
            self._state.dispute(str(differ))
            self.map, self._state.map_phase = None, MapPhase.NONE
            self._wanted.drop()
            return
        self._state.map_phase, self._state.sums = MapPhase.THERE, self.map.algorithm

    async def _settle_all(self, pages: Iterable[int]) -> None:
        """Say of every chunk that is here what it is, as far as it is known now: `pages` have just come."""
        self._settling = True
        try:
            while (index := self._next_early()) is not None:  # more may come while one of them is read
                await self._settle(index, self.early[index])
                self.early.pop(index, None)
            for page in pages:
                await self._prove_held(page)
        finally:
            self._settling = False
        for index in self.early:
            self._wanted.add(self._from(index))

    def _next_early(self) -> int | None:
        known = self.map
        return next((index for index in self.early if known is None or known.knows(index)), None)

    async def _settle(self, index: int, summed: ChunkSum | None) -> None:
        """Say what a chunk is that came before the map."""
        if self.map is not None:
            await self._prove(index, summed)
        else:
            lacking = self._state.map_phase is MapPhase.LACKING
            self._state.marks.mark(index, ChunkState.MISSING if lacking else ChunkState.UNPROVEN)

    async def _prove_held(self, page: int) -> None:
        """What was held before this fill, from a parent without maps."""
        for index in range(page * PAGE, min(self._state.chunks, (page + 1) * PAGE)):
            if index % LOOK == 0:
                await asyncio.sleep(0)
            if self._state.marks.state(index) == ChunkState.UNPROVEN:
                await self._prove(index, None)

    async def _prove(self, index: int, summed: ChunkSum | None) -> None:
        """A chunk that was written before its sum was here."""
        state, known = self._state, self.map
        if known is None:
            return
        if summed is None or summed.algorithm is not known.algorithm:
            hasher = known.algorithm.hasher()
            await state.bytes.feed(chunk_span(index, state.size), hasher.update)
            summed = ChunkSum(known.algorithm, hasher.digest())
        if self.map is None or not self.map.knows(index):  # it was convicted, or another took its place
            state.marks.mark(index, ChunkState.UNPROVEN)
        elif summed == self.map.sum(index):
            state.prove(index)
        else:
            state.throw_away(index)
            state.blame(f"chunk {index} does not fit the chunk map")
        state.readers.wake_now()

    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs on its behalf."""
        return list(self._asking.values())
