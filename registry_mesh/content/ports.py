"""The ports: sources nested in sources.

Memory, a disk, a bucket, another registry, a cache in front of any of them, a choice among several: all have
these shapes. What a place may lack is an answer that can be None, never a type to probe for, so that a wrapper
cannot lose it.

What may be raised, by every method unless said otherwise:
`oci.errors.Refusal` (the thing is known not to exist, or is not allowed) and `content.errors.Failure` (a side
could not do its part). "Unknown" is only raised by a source that knows; one that cannot tell raises a failure.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span

TO_END: Final = 1 << 62
"""As a span's stop: to the end, wherever that is. Every source clips a span at the blob's size."""

PIECE: Final = 1 << 20
"""No piece of bytes is larger than this."""


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Bytes [start, stop) of the open file `fd`; good until the next piece is asked for or the reading closes.
    `broken`, where there is one, is to be called by who finds that they cannot be read."""

    fd: int
    start: int
    stop: int
    broken: Callable[[], None] | None = None

    def __len__(self) -> int:
        return self.stop - self.start


Piece = bytes | FileSlice


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an answer came about, for Cache-Status (RFC 9211), Age and Warning."""

    hit: bool = True
    source: str = ""
    age: float | None = None  # seconds since the source last confirmed it; None where it cannot be stale
    stale: bool = False
    fresh_for: float | None = None  # seconds until the source is to be asked again; None: not known


HELD: Final = Provenance()


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """That a blob exists, and its length in bytes."""

    digest: Digest
    size: int


class DirectBody(Protocol):
    """A reading's bytes, received by the very thread that stores them."""

    async def ready(self, least: int) -> None:
        """To be awaited before each `receive_into`: returns when `least` bytes are there, or the end of the stream,
        or, after a while, fewer. `SourceUnavailable` where it stands still."""
        ...

    def receive_into(self, buffer: memoryview) -> int:
        """In a worker thread: what is there, as far as it fits; how many bytes. `SourceUnavailable` where the stream
        broke off."""
        ...


class Reading(Protocol):
    """An opened span of a blob."""

    @property
    def info(self) -> BlobInfo: ...
    @property
    def span(self) -> Span:
        """What `pieces` will give: the span asked for, clipped at the blob's size."""
        ...

    @property
    def address(self) -> str | None:
        """A URL where a client may fetch the very blob itself (presigned), where there is one."""
        ...

    @property
    def provenance(self) -> Provenance: ...
    def pieces(self) -> AsyncIterator[Piece]:
        """The span's bytes, in order, once. Ends early only by raising; what was given is then a true prefix."""
        ...

    def direct(self) -> AbstractContextManager[DirectBody | None]:
        """Entered instead of `pieces`, by who stores the bytes; None where `pieces` has to be asked."""
        ...

    def ready(self, span: Span) -> FileSlice | None:
        """`span` as a slice of a file, where nothing of it needs to be waited for or checked; None otherwise.

        May be asked again and again, of any span of the blob, while the reading is open. Costs a microsecond.
        """
        ...

    @property
    def grows(self) -> bool:
        """Whether more of it may become `ready`, as the blob is on its way in; what brings it lasts as long as the
        reading is open. False for good once all of it is there, or none will be: then it is to be opened anew."""
        ...

    def rest(self) -> None:
        """Nobody reads what `ready` gave any more: the store may take the blob away until `ready` is asked again."""
        ...


class Buffered:
    """What a reading lacks whose bytes do not come from a socket of its own."""

    @property
    def grows(self) -> bool:
        return False

    def direct(self) -> AbstractContextManager[DirectBody | None]:
        return nullcontext()

    def rest(self) -> None:
        pass


class Streamed(Buffered):
    """What a reading lacks whose bytes have no place of their own."""

    address: str | None = None

    def ready(self, span: Span) -> FileSlice | None:
        return None


class BlobSource(Protocol):
    """Where blobs can be read from."""

    async def stat(self, digest: Digest) -> BlobInfo:
        """Size of the blob. `BlobUnknown` where the source knows that it has none."""
        ...

    def open(self, digest: Digest, span: Span | None = None) -> AbstractAsyncContextManager[Reading]:
        """Open the whole blob or `span` of it. `BlobUnknown`; `SpanUnsatisfiable` where span starts past the end.

        Raised on entering, before any piece.
        """
        ...

    async def chunk_map(self, digest: Digest) -> ChunkMap | None:
        """The digests of its chunks, where the source has them."""
        ...


class Ingest(Protocol):
    """Bytes on their way in. Leaving the context without commit is abort: nothing of it stays."""

    @property
    def offset(self) -> int:
        """Bytes written so far."""
        ...

    async def write(self, data: bytes) -> None:
        """Append. `StoreFull`, `StoreBroken`."""
        ...

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Make it a blob: durable (by the store's fsync policy) and visible at once. `DigestInvalid` and nothing
        kept where `expected` does not fit. Committing what the store already has is fine."""
        ...


class BlobStore(BlobSource, Protocol):
    """Where blobs can also be put."""

    def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AbstractAsyncContextManager[Ingest]:
        """Begin a blob. `expected` and `size`, where known, let a store place and reserve; commit still checks."""
        ...

    async def delete(self, digest: Digest) -> None:
        """Forget it; readings that are open go on. `BlobUnknown`."""
        ...

    def blobs(self) -> AsyncIterator[BlobInfo]:
        """Every complete blob, in no order, without loading them all at once."""
        ...


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


class CacheStore(BlobStore, Protocol):
    """A store that can also hold blobs in part. `open` gives complete blobs only."""

    def hold(self, digest: Digest, size: int) -> AbstractAsyncContextManager[Hold]:
        """The partial blob, made where there is none. `StoreFull`, `StoreBroken`."""
        ...

    def lock(self, digest: Digest, purpose: str) -> AbstractAsyncContextManager[bool]:
        """Try to be the one among all processes that does `purpose` for `digest`; False: another does."""
        ...

    async def known_size(self, digest: Digest) -> int | None:
        """The size of a blob that is held, in part, or named by a manifest that `note_sizes` was told of."""
        ...

    async def note_sizes(self, descriptors: Sequence[Descriptor]) -> None:
        """A verified manifest names these: remember their sizes."""
        ...

    async def note_place(self, digest: Digest, place: str) -> None:
        """Remember where the blob can be had again (REGISTRY/REPOSITORY), as long as it is held. Never fails: who
        does not know it any more asks nobody."""
        ...

    async def place_of(self, digest: Digest) -> str | None:
        """What was noted last."""
        ...


class Records(Protocol):
    """Small named documents on a disk, in a bucket or in memory. Keys are path-like: `a/b/c`, no empty, `.` or
    `..` component. What one process wrote every other sees at once."""

    async def get(self, key: str) -> bytes | None: ...
    async def put(self, key: str, data: bytes) -> None:
        """Create or replace, atomically."""
        ...

    async def create(self, key: str, data: bytes) -> bool:
        """Create-only: False where the key exists. One winner among all processes and hosts."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Those that are there."""
        ...

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        """The distinct next components below `prefix` (which ends in `/` or is empty), in ASCII order: those after
        `after`, at most `limit` of them."""
        ...

    def walk(self, prefix: str) -> AsyncIterator[str]:
        """Every key below `prefix`, in no promised order."""
        ...
