"""Parts of a blob that join a pull of all of it.

For a whole blob one parent's chunk map is enough: the digest of the whole finds out every lie before its last byte
leaves. So nobody else is asked about that map. Who reads a part of the blob meanwhile has no such proof: for the first
of them parents are asked and compared, and each chunk is held against what they say before it leaves.
"""

from __future__ import annotations

from functools import partial

from registry_mesh.chunks.chunk_map import CHUNK, PAGE, ChunkMap, count
from registry_mesh.content.fill.chunk_proof import ChunkProof
from registry_mesh.content.fill.map_request import ask_for_map
from registry_mesh.content.fill.phases import MapPhase
from registry_mesh.content.fill.readers import Reader
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.span import Span
from registry_mesh.ports.partial import ChunkState
from registry_mesh.tasks.flights import Flights


class ChunkComparison:
    """Of one fill: its parents' chunk maps, for the sake of those who read a part of it."""

    def __init__(self, state: FillState, proof: ChunkProof) -> None:
        self._state = state
        self._proof = proof
        self._asking: Flights[int, None] = Flights()
        self._proving: Flights[int, None] = Flights()

    def chunk_map(self, span: Span | None) -> ChunkMap | None:
        """That by which chunks of `span` (None: all) are proven, where it is here."""
        known = self._proof.map
        return known if known is not None and known.covers(span) else None

    def covers(self, span: Span | None) -> bool:
        """Whether parents were compared for that map, as is done for a part."""
        if span is None:
            return True
        first, stop = span.start // CHUNK, count(min(span.stop, self._state.size))
        return all(map(self._state.compared.knows, range(first, max(stop, first + 1))))

    async def until(self, reader: Reader, stop: int) -> int:
        """The byte, `stop` at most, up to which what is here may leave to a reader, as far as this tells. What is
        disputed is withheld elsewhere."""
        index = reader.position // CHUNK
        if reader.stop - reader.start == self._state.size or self._is_over(index, count(stop)):
            return stop
        while index * CHUNK < stop:
            if not self._is_over(index, index + 1):
                await self._proving.join(index, partial(self._prove, index, reader.via))
                if not self._is_over(index, index + 1):
                    return max(reader.position, index * CHUNK)
            index += 1
        return stop

    def _is_over(self, first: int, stop: int) -> bool:
        state = self._state
        withheld = state.disputed or state.parts_withheld
        return withheld or state.outcome.committed or state.compared.over(first, stop)

    async def _prove(self, index: int, via: Via) -> None:
        state, page = self._state, index // PAGE
        if not state.compared.knows(index):
            await self._asking.join(page, partial(self._ask, page, via))
        if state.compared.knows(index) and state.marks.state(index) != ChunkState.MISSING:
            await self._proof.prove_again(index)

    async def _ask(self, page: int, via: Via) -> None:
        """Where nobody can be asked, or has a map, what is proven counts as it is."""
        chunks = range(page * PAGE, min(self._state.chunks, (page + 1) * PAGE))
        found = await ask_for_map(self._state, via, chunks, compare=True)
        if isinstance(found, ChunkMap) or self._state.disputed:
            self._proof.compared(found if isinstance(found, ChunkMap) else None)
        if not isinstance(found, ChunkMap) or self._state.map_phase is MapPhase.NONE:
            self._state.compared.waive()

    async def close(self) -> None:
        """End what is under way."""
        await self._proving.close()
        await self._asking.close()
