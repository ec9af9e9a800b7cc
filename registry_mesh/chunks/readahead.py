"""Decides how far to fetch ahead of a client that asks for one range after the other.

Each such range costs a round trip to the parent. What is fetched ahead may never be asked for: so no more than a
share of what the sequence has read already, and no more than `most`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.span import Span

SEQUENCES: Final = 16
"""Sequences of one blob that are remembered."""


@dataclass(frozen=True, slots=True)
class ReadaheadPolicy:
    """`share` of the bytes read in sequence, at most `most` bytes; 0: never. A range goes on with a sequence that
    ended at most `gap` bytes before it."""

    share: float = 1 / 16
    most: int = 8 * MIB
    gap: int = CHUNK


class Readahead:
    """The sequences of one blob, the latest first, as (begin, end)."""

    def __init__(self, policy: ReadaheadPolicy) -> None:
        self._policy = policy
        self._sequences: list[tuple[int, int]] = []

    def after(self, span: Span) -> Span:
        """A range is asked for: what to have ready behind it, whole chunks, empty where nothing is worth it."""
        begin = self._continued(span)
        self._sequences.insert(0, (begin, span.stop))
        del self._sequences[SEQUENCES:]
        ahead = int(min((span.stop - begin) * self._policy.share, self._policy.most))
        first = -(-span.stop // CHUNK) * CHUNK
        return Span(first, first + ahead // CHUNK * CHUNK)

    def _continued(self, span: Span) -> int:
        """Where the sequence began that `span` goes on with, or ended with; it is taken out. `span`'s own begin where
        none is."""
        start, stop, gap = span.start, span.stop, self._policy.gap
        for index, (begin, end) in enumerate(self._sequences):
            if begin <= start <= end + gap and stop >= end:
                del self._sequences[index]
                return begin
        return start
