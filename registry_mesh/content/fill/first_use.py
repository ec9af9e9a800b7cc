"""Chunks that a hold had before its fill began: each is looked at once, before a byte of it leaves.

Bytes rot on a disk. What comes while the fill lives was hashed on its way in and needs no look, nor does what this
process has looked at in an earlier life of the fill.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import or_
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.ports.partial import ChunkState, Looks
from registry_mesh.tasks.flights import Flights

_OF_THIS_LIFE: Final = bytes(state == ChunkState.MISSING for state in range(256))


class FirstUse:
    """Of one fill. `rotten` is told of a chunk that was not what it should be, and is MISSING now."""

    def __init__(self, looks: Looks, states: bytes, rotten: Callable[[int], None]) -> None:
        self._looks = looks
        self._rotten = rotten
        self._seen = bytearray(map(or_, states.translate(_OF_THIS_LIFE), looks.checked()))
        self._flights: Flights[int, bool] = Flights()

    def came(self, index: int, chunks: int) -> None:
        """So many chunks from `index` on came just now."""
        self._seen[index : index + chunks] = b"\1" * chunks

    def is_over(self, first: int, stop: int) -> bool:
        """Whether none of chunks [first, stop) has to be looked at."""
        return self._seen.find(0, first, stop) < 0

    async def until(self, position: int, stop: int) -> int:
        """Look at what lies in bytes [position, stop) and has to be; the byte up to which all is good. A reader that
        comes to a chunk together with others waits for one look."""
        index = position // CHUNK
        while index * CHUNK < stop:
            if not (self._seen[index] or await self._flights.join(index, partial(self._look, index))):
                return max(position, index * CHUNK)
            index += 1
        return stop

    async def _look(self, index: int) -> bool:
        if not await self._looks.check(index):
            self._rotten(index)
            return False
        self._seen[index] = 1
        return True

    async def close(self) -> None:
        """End the proofs under way."""
        await self._flights.close()
