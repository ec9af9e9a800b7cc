"""Partial blobs: the chunks of a blob that is not complete, shared among processes."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobStore, FileSlice
from registry_mesh.ports.place import Place


class ChunkState(enum.IntEnum):
    """Of one chunk of a partial blob."""

    MISSING = 0
    UNPROVEN = 1  # written; no chunk map was there to check it, and the blob is not complete
    PROVEN = 2  # checked against a chunk map, or the whole blob's digest fitted


Give = Callable[[], Sequence[bytes | memoryview]]
"""Bytes, asked for where they are wanted."""


class Hold(Protocol):
    """A partial blob: a sparse file and the state of each of its chunks (`chunks.chunk_map.CHUNK` bytes).

    Several processes may hold the same digest at once. State, claims and `committed` are shared among them;
    a process that dies loses its claims and nothing else.
    """

    @property
    def info(self) -> BlobInfo: ...
    @property
    def committed(self) -> bool:
        """Somebody, here or in another process, committed it: every chunk is proven."""
        ...

    @property
    def discarded(self) -> bool:
        """Somebody discarded it: nothing of this hold may be served any more."""
        ...

    def state(self, index: int) -> ChunkState: ...
    def states(self) -> bytes:
        """The state of every chunk, a byte each."""
        ...

    def run(self, index: int, stop: int, state: ChunkState) -> int:
        """The first chunk in [index, stop) whose state is less than `state`; `stop` where there is none."""
        ...

    def claim(self, chunks: range) -> range:
        """Claim the leading part of `chunks` that no other process has claimed, and that is MISSING.

        Empty where the first is claimed elsewhere or not missing. Never blocks.
        """
        ...

    def unclaim(self, chunks: range) -> None:
        """Give claims back; those of chunks not claimed here are left alone."""
        ...

    def want(self, index: int) -> None:
        """A reader waits for a chunk that somebody else has claimed: have him know. Forgotten once he does, or when
        another chunk is wanted: to be said again as long as it is true."""
        ...

    def take_want(self, chunks: range) -> int | None:
        """The chunk that others wait for, where it is one of `chunks`."""
        ...

    async def write(self, offset: int, give: Give, then: Callable[[], None]) -> None:
        """Write what `give` gives, from `offset` on, and call `then` (to hash): again and again until nothing is given.
        Both are called in the worker thread that writes; what was given may change after `then`. `StoreFull`,
        `StoreBroken`, and what `give` raises.

        Room for a chunk is reserved against the quota when its first byte is written.
        """
        ...

    def mark(self, index: int, state: ChunkState) -> None:
        """Set a chunk's state; MISSING gives its room back. Written data is synced before the mark is durable."""
        ...

    async def read(self, span: Span) -> bytes:
        """Bytes that were written, at most `PIECE`."""
        ...

    async def feed(self, span: Span, sink: Callable[[memoryview], None]) -> None:
        """Call `sink` with the bytes of `span`, in order, in pieces, in a worker thread (to hash them)."""
        ...

    def slice(self, span: Span) -> FileSlice:
        """Where those bytes lie, for sendfile."""
        ...

    def checked(self) -> bytes:
        """A byte for each chunk: 1 where `check` would say that it is good without reading it, nobody but its holds
        having written to it."""
        ...

    @property
    def untouched(self) -> bool:
        """Whether nobody but its holds has written to it, cut it short or taken it away, as far as one look tells. May
        be False while one of them writes."""
        ...

    async def check(self, index: int) -> bool:
        """Whether a chunk still has the bytes that were marked (bit rot, truncation); cheap when it was checked
        lately and the file has not changed since. A chunk that has not is set MISSING."""
        ...

    async def commit(self, chunk_map: ChunkMap | None) -> None:
        """The digest fits (the caller checked): it becomes a complete blob of the store, atomically."""
        ...

    async def discard(self) -> None:
        """Drop every byte and state: what was written cannot be trusted."""
        ...


@dataclass(frozen=True, slots=True)
class SaidSize:
    """That `manifest` names a blob with `size` bytes, which may be true."""

    size: int
    manifest: Digest


class CacheStore(BlobStore, Protocol):
    """A store that can also hold blobs in part. `open` gives complete blobs only."""

    def hold(self, digest: Digest, size: int) -> AbstractAsyncContextManager[Hold]:
        """The partial blob, made where there is none. `StoreFull`, `StoreBroken`."""
        ...

    def lock(self, digest: Digest, purpose: str) -> AbstractAsyncContextManager[bool]:
        """Try to be the one among all processes that does `purpose` for `digest`; False: another does."""
        ...

    async def held_size(self, digest: Digest) -> int | None:
        """The bytes of a blob that is held, whole or in part; None where nothing is. Of one in part it is what a source
        said, and the digest has the last word. Never what a manifest said. `StoreBroken`."""
        ...

    async def note_sizes(self, manifest: Digest, descriptors: Sequence[Descriptor]) -> None:
        """Remember what a manifest says of the sizes of others. It is hearsay: its own digest proves its bytes, and not
        that they are true. Only `said_size` tells it again. `StoreBroken`."""
        ...

    async def said_size(self, digest: Digest) -> SaidSize | None:
        """What a manifest said last, to be compared with what is known; None where none did. `StoreBroken`."""
        ...

    async def forget_said(self, digest: Digest) -> None:
        """What was said turned out wrong: forget it. `StoreBroken`."""
        ...

    async def note_place(self, digest: Digest, place: Place) -> None:
        """Remember where the blob can be had again as long as it is held. Never fails: who
        does not know it any more asks nobody."""
        ...

    async def place_of(self, digest: Digest) -> Place | None:
        """What was noted last."""
        ...

    async def note_names(self, place: Place, digests: Collection[Digest], *, whole: bool = False) -> None:
        """Remember that the repository at `place` names these. `whole`: nothing else is known of it elsewhere."""
        ...

    async def names(self, place: Place, digest: Digest) -> bool | None:
        """Whether `place` names `digest`; None where not all that is known of the place was noted."""
        ...
