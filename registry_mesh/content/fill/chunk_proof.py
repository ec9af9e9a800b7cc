"""Chunks of a fill, proven one by one: by the chunk map of a parent of our kind, where there is one.

The map is asked for together with the first bytes: its upper level, and the pages of what is wanted. More pages come as
more is wanted. Chunks that come before their sums are left unmarked (`early`): until it is known whether there is a map
nobody takes them for held, not another process, and not the next one to open the hold after this one died.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final

from registry_mesh.chunks.chunk_map import PAGE, ChunkMap, ChunkMapsDiffer, chunk_span
from registry_mesh.chunks.sums import ChunkSum
from registry_mesh.content.fill.chunk_sums import sums_of_written
from registry_mesh.content.fill.map_request import ASKED, WantedSums, ask_for_map, is_withheld
from registry_mesh.content.fill.phases import MapPhase
from registry_mesh.content.fill.rejected import RejectedChunks
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure, SourceLied, SourceUnavailable
from registry_mesh.ports.partial import ChunkState

_log: Final = logging.getLogger(__name__)

FOR_A_RANGE: Final = 1 << 30
"""Bytes of a blob, at most, that is brought in whole for the sake of a range whose chunks do not fit the chunk map."""

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
        self._rejected = RejectedChunks()
        self._disowned = False  # no map proves anything any more

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

    def take(self, index: int, sums: Sequence[ChunkSum | None], source: str) -> int:
        """Chunks from `index` on are written; `sums`: of each, where it was seen whole. Returns how many of them it has
        taken: as many as fit the map, or else the first. That one is proven, or missing again and `SourceLied` raised.
        """
        marks, phase = self._state.marks, self._state.map_phase
        if not phase.proves:
            marks.mark(index, ChunkState.UNPROVEN, len(sums))
            return len(sums)
        if self.map is not None and self.map.knows(index):
            return self._take_known(self.map, index, sums, source)
        if phase is MapPhase.LACKING:
            marks.mark(index, ChunkState.MISSING)
        else:
            self.early[index] = sums[0]
            if self.map is not None:
                self._want(index)
        return 1

    def _take_known(self, known: ChunkMap, index: int, sums: Sequence[ChunkSum | None], source: str) -> int:
        if known.beside is None and (fitting := known.fitting(index, sums)):
            self._state.prove(index, fitting)
            return fitting
        summed = sums[0]
        if summed is None or {each.algorithm for each in known.told(index)} != {summed.algorithm}:
            self._state.marks.mark(index, ChunkState.UNPROVEN)
            self._state.spawn(self._prove(index, summed, source))
        elif known.told(index) == (summed,):
            self._state.prove(index)
        elif not self._keeps(index, summed, source):
            raise SourceLied(f"chunk {index} does not fit the chunk map", source=source)
        return 1

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

    def _keeps(self, index: int, summed: ChunkSum, source: str) -> bool:
        """Whether a chunk that is not what the map says is kept, for the map may be what is wrong; else it is missing
        again. Two sources that agree against the map convict it. Where nobody else can be asked the digest of the
        whole is to tell which of the two is wrong; of a large blob only where somebody reads all of it."""
        repeated = self._rejected.repeated(index, summed, source)
        if self._rejected.add(index, summed, source):
            self._disown()
        elif repeated and self._is_brought_whole() and not self._is_another(source):
            self._disown(f"what {source or 'its source'} sends does not fit its chunk map, again and again")
        else:
            self._state.throw_away(index)
            return False
        self._state.marks.mark(index, ChunkState.UNPROVEN)
        return True

    def _is_brought_whole(self) -> bool:
        size = self._state.size
        return size <= FOR_A_RANGE or self._state.readers.whole(size)

    def _does_without(self, failure: Failure) -> bool:
        """Whether no map is waited for: nothing but the whole proves anything then. Who gave a page gives the next."""
        return self.map is None and is_withheld(failure, whole=self._is_brought_whole())

    def _is_another(self, source: str) -> bool:
        return self._via is not None and self._via.rivals.rate(source, self._state.digest) is not None

    def _disown(self, dispute: str = "") -> None:
        """No map proves anything from now on; `dispute`: nor does any part leave before the whole is proven."""
        self._disowned, self.map, self._state.map_phase = True, None, MapPhase.NONE
        self._wanted.drop()
        if dispute:
            self._state.dispute(dispute)

    # -- the map ----------------------------------------------------------------------------------------------

    async def whole_map(self) -> ChunkMap | None:
        """The map to be kept beside the blob; None where there is none, or not all of it can be had now."""
        if self.map is None or self.map.whole or self._via is None:
            return self.map and self.map.alone
        with suppress(Failure, Refusal, ChunkMapsDiffer, TimeoutError):
            async with asyncio.timeout(WHOLE_MAP):
                found = await self._via.source.chunk_map(self._state.digest)
            if found is not None and (joined := self.map.joined(found)).whole:
                return joined.alone
        return None

    async def _fetch(self, via: Via) -> None:
        try:
            while (wanted := self._wanted.next(self.map)) is not None:
                self._state.map_phase = MapPhase.ASKING
                found = await self._asked(via, wanted)
                if self._state.map_phase is MapPhase.LATE and not self._state.phase.joined:
                    return  # the whole was proven, or is wrong
                if isinstance(found, Failure) and (len(self._asking) > 1 or not self._wanted.next(self.map)):
                    return  # another's parents tell, or have told
                late = self._state.map_phase is MapPhase.LATE
                if isinstance(found, Failure) and (late or self._does_without(found)):
                    self._state.withhold_parts(f"no chunk map: {found.reason}")
                    found = None
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

    async def _asked(self, via: Via, wanted: range) -> ChunkMap | Failure | None:
        """What the parents say. Where they say nothing for a while the blob goes on without it, if it is brought whole;
        what they say later still counts."""
        asking = asyncio.ensure_future(ask_for_map(self._state, via, wanted))
        try:
            while not (await asyncio.wait({asking}, timeout=self._state.policy.map_wait))[0]:
                if self._state.map_phase is MapPhase.ASKING and self.map is None and self._is_brought_whole():
                    self._state.withhold_parts("its chunk map is late")
                    self._state.map_phase = MapPhase.LATE
                    await self._settle_all(())
                    self._state.readers.wake_now()
            return await asking
        finally:
            asking.cancel()
            await asyncio.wait({asking})

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
        if self._disowned or (found is None and self._state.disputed):
            found, self.map = None, None
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

    def compared(self, found: ChunkMap | None) -> None:
        """`found` is what parents say together of what is proven already; None where they differ."""
        if found is None:
            self._disown()
        elif not self._disowned:
            self._took(found)

    def _took(self, found: ChunkMap) -> None:
        try:
            self.map = found if self.map is None else self.map.joined(found)
        except ChunkMapsDiffer as differ:
            self._disown(str(differ))
            return
        self._state.map_phase, self._state.sums = MapPhase.THERE, self.map.algorithm
        self._state.parts_withheld = False

    async def _settle_all(self, pages: Iterable[int]) -> None:
        """Say of every chunk that is here what it is, as far as it is known now: `pages` have just come."""
        self._settling = True
        try:
            while (index := self._next_early()) is not None:  # more may come while one of them is read
                await self._settle(index, self.early[index])
                self.early.pop(index, None)
            await self._prove_held(pages)
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

    async def _prove_held(self, pages: Iterable[int]) -> None:
        """What was held before this fill, from a parent without maps."""
        states = self._state.marks.states()
        for page in pages:
            index = page * PAGE
            while (index := states.find(ChunkState.UNPROVEN, index, (page + 1) * PAGE)) >= 0:
                if self._state.marks.state(index) == ChunkState.UNPROVEN:
                    await self._prove(index, None)
                index += 1

    async def prove_again(self, index: int) -> None:
        """A chunk that is written is held against the map as it is now."""
        await self._prove(index, None)

    async def _prove(self, index: int, summed: ChunkSum | None, source: str = "") -> None:
        """A chunk that was written before its sum was here, or that two maps tell of."""
        if self.map is None:
            return
        state, by = self._state, {each.algorithm for each in self.map.told(index)}
        seen = {summed} if summed is not None else set()
        span, missing = chunk_span(index, state.size), by - {each.algorithm for each in seen}
        seen |= await sums_of_written(state.bytes, span, missing)
        told = self.map.told(index) if self.map is not None else ()
        if {each.algorithm for each in told} != by:  # it was convicted, or another came beside it
            state.marks.mark(index, ChunkState.UNPROVEN)
        elif seen.issuperset(told):
            state.prove(index)
        elif not seen.isdisjoint(told):
            state.marks.mark(index, ChunkState.UNPROVEN)
            self._dispute(self.map, index, seen, source)
        elif not self._keeps(
            index, next(each for each in seen if each.algorithm in by), source or state.senders
        ):
            state.blame(f"chunk {index} does not fit the chunk map", source)
        state.readers.wake_now()

    def _dispute(self, known: ChunkMap | None, index: int, seen: Collection[ChunkSum], source: str) -> None:
        """A chunk fits one of two maps alone. Until the whole is proven it comes of one of their parents alone: of
        that which sent the chunk."""
        assert known is not None, "it told of the chunk"
        fits, not_fits = sorted(known.both, key=lambda each: each.sum(index) not in seen)
        self._disown(f"chunk {index} fits the chunk map of {fits.source}, and not that of {not_fits.source}")
        for name in {fits.source, not_fits.source} - {source, ""}:
            if source and self._via is not None:
                self._via.rivals.step_back(name, self._state.digest)

    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs on its behalf."""
        return list(self._asking.values())
