"""Chunks of a fill, proven one by one: by the chunk map of a parent of our kind, where there is one.

The map is asked for together with the first bytes. Chunks that come before it are left unmarked (`early`): until it
is known whether there is a map nobody takes them for held, not another process, and not the next one to open the
hold after this one died.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from registry_mesh.chunks.chunk_map import ChunkMap, chunk_span, count
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure, SourceDown, SourceLied
from registry_mesh.ports.partial import ChunkState

if TYPE_CHECKING:
    from registry_mesh.content.fill.fill import Fill

PAUSES: Final = (0.0, 0.1, 0.3, 0.6)
"""Seconds before each try to get the chunk map."""

LOOK: Final = 256
"""Chunks whose states are looked at at once: a layer of 60 GiB has half a million."""


class ChunkProof:
    """Of one fill, whose hold it marks."""

    def __init__(self, fill: Fill) -> None:
        self._fill = fill
        self.map: ChunkMap | None = None
        self.asking: asyncio.Task[None] | None = None
        self.lacking = False
        """There is a map, and it could not be had: nothing leaves unproven from a parent that could prove it."""
        self.early: dict[int, bytes | None] = {}
        """Chunks that came before the map, and their sums."""
        self._rejected: dict[int, dict[str, bytes]] = {}  # chunk → source → the sum it had from there

    @property
    def proving(self) -> bool:
        """Whether chunks are to be checked against a map that is there or on its way."""
        return self.map is not None or self.asking is not None or self.lacking

    def begin(self, *, first: bool) -> None:
        """Ask for the map: when the `first` bytes are asked for, and again while it could not be had."""
        if self.map is None and self.asking is None and (first or self.lacking):
            self.asking = asyncio.get_running_loop().create_task(self._fetch())

    def take(self, index: int, summed: bytes | None, source: str) -> None:
        """Chunk `index` is written; `summed` is its sha256, where it was seen whole. It is proven, or missing again
        and `SourceLied` raised."""
        hold = self._fill.hold
        if self.map is None and self.asking is not None:
            self.early[index] = summed
        elif self.map is None:
            hold.mark(index, ChunkState.MISSING if self.lacking else ChunkState.UNPROVEN)
        elif summed is None:
            hold.mark(index, ChunkState.UNPROVEN)
            self.prove_later(index)
        elif self._fits(index, summed):
            hold.mark(index, ChunkState.PROVEN)
        else:
            self._fill.throw_away(index)
            self._reject(index, summed, source)

    def prove_later(self, index: int) -> None:
        """A chunk that is written and not proven is wanted."""
        if self.lacking:
            self.begin(first=False)
        if self.map is not None and self._fill.hold.state(index) == ChunkState.UNPROVEN:
            self._fill.spawn(self._prove(index, None))

    def _fits(self, index: int, summed: bytes) -> bool:
        assert self.map is not None
        return self.map.sums[index * 32 : index * 32 + 32] == summed

    def _reject(self, index: int, summed: bytes, source: str) -> None:
        """A chunk that is not what the map says. Two sources that agree against the map convict the map."""
        seen = self._rejected.setdefault(index, {})
        agree = any(other != source and other and value == summed for other, value in seen.items())
        seen[source] = summed
        if agree:
            self.map = None
        raise SourceLied(f"chunk {index} does not fit the chunk map", source=source)

    # -- the map ----------------------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        failure = await self._ask()
        self.lacking = failure is not None
        if failure is not None:
            self._fill.fail(failure)
        await self._settle_early()
        if self.map is not None:
            await self._prove_held()
        self.asking = None
        self._fill.followers.wake_now()

    async def _ask(self) -> Failure | None:
        """What keeps the map from coming; None where it came, or there is none."""
        failure: Failure | None = None
        fill = self._fill
        for pause in PAUSES:
            if pause:
                await asyncio.sleep(pause)
            try:
                found = await fill.source.chunk_map(fill.digest)
            except Refusal:
                return None
            except SourceDown as down:
                return down
            except Failure as again:
                failure = again
                continue
            if found is None or found.size == fill.size:
                self.map = found
                return None
            failure = SourceLied(f"a chunk map of {found.size} bytes; the blob has {fill.size}")
            fill.blame(failure.reason)
        return failure

    async def _settle_early(self) -> None:
        hold = self._fill.hold
        while self.early:
            index, summed = next(iter(self.early.items()))
            if self.map is not None:
                await self._prove(index, summed)
            else:
                hold.mark(index, ChunkState.MISSING if self.lacking else ChunkState.UNPROVEN)
            self.early.pop(index, None)

    async def _prove_held(self) -> None:
        """What was held before this fill, from a parent without maps."""
        for index in range(count(self._fill.size)):
            if index % LOOK == 0:
                await asyncio.sleep(0)
            if self._fill.hold.state(index) == ChunkState.UNPROVEN:
                await self._prove(index, None)

    async def _prove(self, index: int, summed: bytes | None) -> None:
        """A chunk that was written before its map was here."""
        fill = self._fill
        if self.map is None:
            return
        if summed is None:
            hasher = Digest("sha256", "").hasher()
            await fill.hold.feed(chunk_span(index, fill.size), hasher.update)
            summed = hasher.digest()
        if self.map is not None and self._fits(index, summed):
            fill.hold.mark(index, ChunkState.PROVEN)
        else:
            fill.throw_away(index)
            fill.blame(f"chunk {index} does not fit the chunk map")
        fill.followers.wake_now()
