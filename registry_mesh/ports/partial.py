"""Partial blobs: the chunks of a blob that is not complete, shared among processes.

A `Hold` is made of six small ports. Each part of a fill names the one it needs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, FileSlice


class ChunkState(enum.IntEnum):
    """Of one chunk of a partial blob."""

    MISSING = 0
    UNPROVEN = 1  # written; no chunk map was there to check it, and the blob is not complete
    PROVEN = 2  # checked against a chunk map, or the whole blob's digest fitted


STATES: Final = tuple(ChunkState)
"""Each at its number: asked some times for each request, and a look into a tuple takes a tenth of a call."""


Give = Callable[[], Sequence[bytes | memoryview]]
"""Bytes, asked for where they are wanted."""


class Marks(Protocol):
    """The state of each chunk (`chunks.chunk_map.CHUNK` bytes), the same for all processes."""

    def state(self, index: int) -> ChunkState:
        """Return the state of one chunk."""
        ...

    def states(self) -> bytes:
        """Return the state of every chunk, a byte each."""
        ...

    def run(self, index: int, stop: int, state: ChunkState) -> int:
        """Return the first chunk in [index, stop) whose state is less than `state`; `stop` where there is none."""
        ...

    def mark(self, index: int, state: ChunkState, chunks: int = 1) -> None:
        """Set the state of so many chunks from `index` on; MISSING gives their room back. Written data is synced before
        the mark is durable."""
        ...

    doubted: bool
    """Whether some chunk is PROVEN by a chunk map about which no second parent was asked, or was so by one of maps that
    differ. Once it is, for all processes, it stays until the blob is complete."""


class Claims(Protocol):
    """Which chunks this process is to bring, and which ones the readers of others wait for. A process that dies loses
    its claims and nothing else."""

    def claim(self, chunks: range) -> range:
        """Claim the leading part of `chunks` that no other process has claimed, and that is MISSING.

        Empty where the first is claimed elsewhere or not missing. Never blocks.
        """
        ...

    def unclaim(self, chunks: range) -> None:
        """Give claims back; those of chunks not claimed here are left alone."""
        ...

    def want(self, index: int) -> None:
        """Ask the claimant for a chunk. There is one wish a partial blob: `take_want` clears it and another `want`
        replaces it, so it is to be repeated for as long as a reader waits."""
        ...

    def take_want(self, chunks: range) -> int | None:
        """Return the chunk that others wait for, and clear the wish, where it is one of `chunks`."""
        ...


class Bytes(Protocol):
    """The bytes of a partial blob."""

    @property
    def info(self) -> BlobInfo:
        """Which blob it is of, and the length of that in bytes."""
        ...

    async def write(self, offset: int, give: Give, then: Callable[[], None]) -> None:
        """Write what `give` gives, from `offset` on, and call `then` (to hash): again and again until nothing is given.
        Both are called in the worker thread that writes; what was given may change after `then`. `StoreFull`,
        `StoreBroken`, and what `give` raises.

        Room for a chunk is reserved against the quota when its first byte is written.
        """
        ...

    async def feed(self, span: Span, sink: Callable[[memoryview], object]) -> None:
        """Call `sink` with the bytes of `span`, in order, in pieces, in a worker thread (to hash them)."""
        ...

    def slice(self, span: Span) -> FileSlice:
        """Return where those bytes lie, for sendfile."""
        ...


class Looks(Protocol):
    """Whether the bytes are still those that were stored."""

    def checked(self) -> bytes:
        """Return a byte for each chunk: 1 where `check` would say that it is good without reading it, nobody but its
        holds having written to it."""
        ...

    @property
    def untouched(self) -> bool:
        """Whether nobody but its holds has written to it, cut it short or taken it away, as far as one look tells. May
        be False while one of them writes."""
        ...

    async def check(self, index: int) -> bool:
        """Return whether a chunk still has the bytes that were marked (bit rot, truncation); cheap when it was checked
        lately and the file has not changed since. A chunk that has not is set MISSING."""
        ...


class Stays(Protocol):
    """That what is held stays: an evictor passes it by."""

    def rest(self) -> bool:
        """Let it be evicted until `wake`. Nothing of it is asked, claimed, written or sent meanwhile. False where
        something is still being done, and it stays."""
        ...

    def wake(self) -> bool:
        """Keep it from eviction again. False where some of what was held is gone, or is going: this hold is of no more
        use than to be closed."""
        ...


class Outcome(Protocol):
    """What becomes of a partial blob as a whole, in whichever process."""

    @property
    def committed(self) -> bool:
        """Whether some process committed it: every chunk is proven."""
        ...

    @property
    def discarded(self) -> bool:
        """Whether some process discarded it: nothing of it may be served any more."""
        ...

    async def commit(self, chunk_map: ChunkMap | None) -> None:
        """Make it a complete blob of the store, atomically. The caller has checked that the digest fits."""
        ...

    async def discard(self) -> None:
        """Drop every byte and state: what was written cannot be trusted."""
        ...


class Hold(Marks, Claims, Bytes, Looks, Stays, Outcome, Protocol):
    """A partial blob: a sparse file and the state of each of its chunks.

    Several processes may hold the same digest at once: state, claims and outcome are shared among them.
    """
