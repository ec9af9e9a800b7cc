"""Asking a fill's parents for its chunk map, or for more of it."""

from __future__ import annotations

import asyncio
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB, PAGE, ChunkMap
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import (
    Failure,
    MapsDisputed,
    MapUnusable,
    NotHeld,
    SourceDenied,
    SourceDown,
    SourceErred,
    SourceHung,
    SourceLied,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
)

PAUSES: Final = (0.0, 0.1, 0.3, 0.6)
"""Seconds before each try to get the chunk map."""

WRONG: Final = 2
"""Wrong maps after which none is asked for again: one may have been spoilt on its way."""

ASKED: Final = 1024 * MIB // CHUNK
"""Chunks whose sums are asked for at once, at most: those of 1 GiB, 256 KiB of the map."""


class WantedSums:
    """The chunks whose sums are wanted and not here yet."""

    def __init__(self) -> None:
        self._wanted: list[range] = []

    def add(self, chunks: range) -> None:
        """Want those of `chunks`, as many from the first one on as are asked for at once."""
        begin = chunks.start // PAGE * PAGE
        wanted = range(chunks.start, min(chunks.stop, begin + ASKED))
        if not any(known.start <= wanted.start and wanted.stop <= known.stop for known in self._wanted):
            self._wanted.append(wanted)

    def next(self, chunk_map: ChunkMap | None) -> range | None:
        """Those to be asked for next, which `chunk_map` does not know; None where it knows all that is wanted."""
        while self._wanted:
            chunks = self._wanted[0]
            index = chunks.start
            while chunk_map is not None and index < chunks.stop and chunk_map.knows(index):
                index = (index // PAGE + 1) * PAGE
            if index < chunks.stop:
                return range(index, chunks.stop)
            self._wanted.pop(0)
        return None

    def drop(self) -> None:
        """Want nothing."""
        self._wanted.clear()


_REFUSES: Final = (SourceDenied, SourceRefused, SourceErred)
"""To ask again is of no use."""
_LATER: Final = (SourceDown, SourceThrottled, NotHeld)
"""It is not to be had now, no more than the blob."""


def is_withheld(failure: Failure, *, whole: bool) -> bool:
    """Whether a map does not come though its parent is there: a proxy may let blobs pass and nothing that it does not
    know. `whole`: the blob is brought as a whole where it has to be, so that one does without a map that may be had
    later, too."""
    if isinstance(failure, _REFUSES):
        return True
    return whole and isinstance(failure, SourceUnavailable) and not isinstance(failure, _LATER)


async def ask_for_map(
    state: FillState, via: Via, chunks: range, *, compare: bool = False
) -> ChunkMap | Failure | None:
    """The map with the sums of `chunks`; None where there is none; what keeps it from coming. Wrong maps, and maps of
    which one must be wrong, are none, and the fill is disputed then. Parents are compared where a part of the map is
    asked for, and where `compare` says so."""
    failure: Failure | None = None
    span = (
        None
        if len(chunks) == state.chunks and not compare
        else Span(chunks.start * CHUNK, min(state.size, chunks.stop * CHUNK))
    )
    wrong = 0
    for pause in PAUSES:
        if wrong == WRONG:
            break
        if pause:
            await asyncio.sleep(pause)
        try:
            found = await via.source.chunk_map(state.digest, span)
        except Refusal:
            return None
        except MapsDisputed as dispute:
            state.dispute(dispute.reason)
            return None
        except SourceDown as down:
            return down
        except Failure as again:
            failure = again
            wrong += isinstance(again, SourceLied | MapUnusable)
            if isinstance(again, (*_REFUSES, SourceHung)):
                break
            continue
        if found is None or (found.size == state.size and found.covers(span)):
            if found is not None and span is not None:
                state.compared.came(found)
            return found
        failure, wrong = SourceLied(_misfit(found, state.size)), wrong + 1
    if isinstance(failure, SourceLied | MapUnusable):
        state.dispute(failure.reason)
        return None
    return failure


def _misfit(found: ChunkMap, size: int) -> str:
    if found.size != size:
        return f"a chunk map of {found.size} bytes; the blob has {size}"
    return "a chunk map without the pages that were asked for"
