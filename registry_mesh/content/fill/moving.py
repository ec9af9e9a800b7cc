"""A fill as its operator sees it."""

from __future__ import annotations

from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.fill import Fill
from registry_mesh.ports.moving import MovingFill

PARTS: Final = 18
"""Of a blob, that are told apart: as many as a terminal has room for."""


def moving(fill: Fill) -> MovingFill:
    """How far it is now, and for whom."""
    state = fill.state
    states = state.marks.states()
    missing = states.count(0)
    readers = list(state.readers)
    whole = sum(reader.start == 0 and reader.stop >= fill.size for reader in readers)
    places = {str(place) for place in (*fill.given_by, *fill.noted_for)}
    brought_by = [transfer.source for transfer in fill.transfers]
    return MovingFill(
        digest=str(fill.digest),
        size=fill.size,
        held=min(fill.size, (len(states) - missing) * CHUNK),
        parts=parts(states),
        fetched=state.fetched,
        places=tuple(sorted(places)),
        sources=tuple(dict.fromkeys(filter(None, (*brought_by, *state.sources)))),
        whole_readers=whole,
        range_readers=len(readers) - whole,
    )


def parts(states: bytes) -> str:
    """See `MovingFill.parts`, of the states of all chunks."""
    count = len(states)
    cells = []
    for i in range(PARTS):
        start = i * count // PARTS
        stop = max(start + 1, (i + 1) * count // PARTS)
        missing = states.count(0, start, stop)
        cells.append(str((stop - start - missing) * 9 // (stop - start)))
    return "".join(cells)
