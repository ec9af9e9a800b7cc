"""A stream of bytes, cut into chunks."""

from __future__ import annotations

from collections.abc import Iterator

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.span import Span


class Cutter:
    """Cuts the bytes of `span`, which starts where a chunk does, at every `CHUNK` bytes; the last chunk may be
    shorter. What comes beyond the span is dropped."""

    def __init__(self, span: Span) -> None:
        if span.start % CHUNK:
            raise ValueError(f"{span} does not start where a chunk does")
        self._left = len(span)  # bytes that are in no chunk yet
        self._parts: list[bytes] = []
        self._have = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The chunks that `data` completes."""
        at = 0
        while at < len(data) and self._left:
            part = data[at : at + min(CHUNK, self._left) - self._have]
            at += len(part)
            self._have += len(part)
            self._parts.append(part)
            if self._have == min(CHUNK, self._left):
                yield self._whole()

    def _whole(self) -> bytes:
        chunk = b"".join(self._parts)
        self._left -= self._have
        self._parts, self._have = [], 0
        return chunk
