"""What the readers of a fill are going to ask for next."""

from __future__ import annotations

from collections.abc import Iterable

from registry_mesh.chunks.chunk_map import CHUNK, count
from registry_mesh.chunks.readahead import Readahead
from registry_mesh.content.fill.state import FillState
from registry_mesh.oci.span import Span
from registry_mesh.ports.partial import ChunkState


class ChunksAhead:
    """Sees sequences of ranges, and knows which chunks were fetched ahead of their readers."""

    def __init__(self, state: FillState) -> None:
        self._state = state
        self._readahead = Readahead(state.policy.readahead)
        self._unread: set[int] = set()

    def fetches(self, chunks: Iterable[int]) -> None:
        """These are on their way before their reader has asked."""
        self._unread.update(chunks)

    def after(self, span: Span, *, held: bool) -> range:
        """The chunks that a sequence comes to next, after a reader has asked for `span`, which may be known to be
        `held`; none for a reader that reads again what is held."""
        ahead = self._readahead.after(span)
        if (self._unread or not held) and self._is_news(range(span.start // CHUNK, count(span.stop))):
            return range(ahead.start // CHUNK, min(self._state.chunks, ahead.stop // CHUNK))
        return range(0)

    def _is_news(self, chunks: range) -> bool:
        """Whether something of it is missing, or was fetched ahead and is read now for the first time."""
        unread = len(self._unread)
        if unread:
            self._unread.difference_update(chunks)
        missing = self._state.marks.run(chunks.start, chunks.stop, ChunkState.UNPROVEN) < chunks.stop
        return missing or len(self._unread) < unread
