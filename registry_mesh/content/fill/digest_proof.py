"""The whole digest of a blob whose chunks arrive in any order."""

from __future__ import annotations

import threading

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.span import Span
from registry_mesh.ports.partial import Bytes, ChunkState, Marks


class DigestProof:
    """Hashes a hold from its first byte on.

    Two hands drive one hasher, never at once: a transfer that happens to write exactly where the hash stands
    feeds it in the very thread that wrote (`inline`), and `catch_up` reads from the hold what came otherwise.
    """

    def __init__(self, marks: Marks, data: Bytes) -> None:
        self._marks = marks
        self._bytes = data
        self._hasher = data.info.digest.hasher()
        self._hand = threading.Lock()
        self.offset = 0

    def inline(self, offset: int, data: bytes | memoryview) -> None:
        """In a worker thread, while its transfer waits: take `data` if it continues the hash."""
        if self._hand.acquire(blocking=False):
            try:
                if offset == self.offset:
                    self._take(data)
            finally:
                self._hand.release()

    async def catch_up(self) -> None:
        """Hash the whole chunks that are written from where the hash stands."""
        if not self._hand.acquire(blocking=False):
            return
        try:
            while (stop := self._written()) > self.offset:
                await self._bytes.feed(Span(self.offset, min(stop, self.offset + 8 * MIB)), self._take)
        finally:
            self._hand.release()

    def behind(self, chunks: int) -> bool:
        """Whether at least that many written chunks wait to be hashed and nobody is at it."""
        return not self._hand.locked() and self._written(chunks) - self.offset >= chunks * CHUNK

    def _written(self, at_most: int = 64 * MIB // CHUNK) -> int:
        size = self._bytes.info.size
        first = self.offset // CHUNK
        last = min(-(-size // CHUNK), first + at_most + 1)
        return min(size, self._marks.run(first, last, ChunkState.UNPROVEN) * CHUNK)

    def _take(self, data: bytes | memoryview) -> None:
        self._hasher.update(data)
        self.offset += len(data)

    def fits(self) -> bool:
        """Whether all of it was hashed and the digest is the one asked for."""
        return (
            self.offset == self._bytes.info.size and self._hasher.hexdigest() == self._bytes.info.digest.hex
        )
