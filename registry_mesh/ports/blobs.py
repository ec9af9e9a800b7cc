"""The ports: sources nested in sources.

Memory, a disk, a bucket, another registry, a cache in front of any of them, a choice among several: all have
these shapes. What a place may lack is an answer that can be None, never a type to probe for, so that a wrapper
cannot lose it.

What may be raised, by every method unless said otherwise:
`oci.refusals.Refusal` (the thing is known not to exist, or is not allowed) and `ports.failures.Failure` (a side
could not do its part). "Unknown" is only raised by a source that knows; one that cannot tell raises a failure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final, Protocol

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SpanUnsatisfiable

TO_END: Final = 1 << 62
"""As a span's stop: to the end, wherever that is. Every source clips a span at the blob's size."""

PIECE: Final = 1 << 20
"""No piece of bytes is larger than this."""


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Bytes [start, stop) of the open file `fd`; good until the next piece is asked for or the reading closes.
    `broken`, where there is one, is to be called by a reader that finds that they cannot be read."""

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
    unproven: bool = False  # a range that neither a chunk map nor the digest proves
    fresh_for: float | None = None  # seconds until the source is to be asked again; None: not known
    joined: bool = False  # it follows a fill that another request had begun: no byte crosses the link for it
    near: str = ""  # `bucket` or `sibling`: it came of there, and crossed no link

    @property
    def result(self) -> str:
        """In one word of `telemetry.names.RESULTS`."""
        if self.stale or self.hit:
            return "stale" if self.stale else "hit"
        return "joined" if self.joined else self.near or "miss"


HELD: Final = Provenance()


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """That a blob exists, and its length in bytes."""

    digest: Digest
    size: int
    provenance: Provenance = field(default=HELD, compare=False, repr=False)
    """How that came to be known."""

    def clip(self, span: Span | None) -> Span:
        """What of `span` (None: of the whole) the blob has. `SpanUnsatisfiable` where the span starts past the end."""
        whole = Span(0, self.size)
        if span is None:
            return whole
        if span.start >= self.size and span.start > 0:
            raise SpanUnsatisfiable(self.size)
        return span.clip(whole)


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


class Opened(Protocol):
    """What was opened, and how that came about."""

    @property
    def info(self) -> BlobInfo:
        """The whole blob, of which this is a span."""
        ...

    @property
    def span(self) -> Span:
        """What `pieces` will give: the span asked for, clipped at the blob's size."""
        ...

    @property
    def address(self) -> str | None:
        """A URL where a client may fetch the very blob itself (presigned), where there is one."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Where the bytes come from."""
        ...


class Pieces(Protocol):
    """The bytes of a span, once, in order."""

    async def begin(self, least: int) -> None:
        """Return when `least` bytes of the span are here, or all that will come; `pieces` and `direct` tell why no more
        do. Await it, if at all, before those. It may be cancelled, and awaited again."""
        ...

    def pieces(self) -> AsyncIterator[Piece]:
        """Give the span's bytes. Ends early only by raising; what was given is then a true prefix."""
        ...

    def direct(self) -> AbstractContextManager[DirectBody | None]:
        """Enter instead of `pieces`, to store the bytes as they are received; None where `pieces` has to be asked."""
        ...


class Slices(Protocol):
    """What of the blob lies in a file already, as often as it is asked for."""

    def ready(self, span: Span) -> FileSlice | None:
        """Return `span` as a slice of a file, where nothing of it needs to be waited for or checked; None otherwise.

        May be asked again and again, of any span of the blob, while the reading is open. Costs a microsecond.
        """
        ...

    @property
    def grows(self) -> bool:
        """Whether more of it may become `ready`, as the blob is on its way in; what brings it lasts as long as the
        reading is open. False for good once all of it is there, or none will be: then it is to be opened anew."""
        ...

    def rest(self, span: Span | None = None) -> bool:
        """Say that nobody reads what was given any more: the store may take the blob away until `ready` or `still` is
        asked. False, and nothing is changed, where it could not tell then whether `span` is still there."""
        ...

    def still(self, span: Span) -> bool:
        """Return whether `span`, of what was given before a `rest`, is still there; it stays from then on."""
        ...


class Reading(Opened, Pieces, Slices, Protocol):
    """An opened span of a blob."""


class Buffered:
    """What a reading lacks whose bytes do not come from a socket of its own."""

    @property
    def grows(self) -> bool:
        """False: all there is, is there."""
        return False

    async def begin(self, least: int) -> None:
        """Nothing is waited for."""

    def direct(self) -> AbstractContextManager[DirectBody | None]:
        """None: there is no body that a thread could receive."""
        return nullcontext()

    def rest(self, span: Span | None = None) -> bool:
        """False: it keeps nothing from eviction."""
        return False

    def still(self, span: Span) -> bool:
        """True: nothing takes it away."""
        return True


class Streamed(Buffered):
    """What a reading lacks whose bytes have no place of their own."""

    address: str | None = None

    def ready(self, span: Span) -> FileSlice | None:
        """None: it is no slice of a file."""
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

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """The sums of its chunks, of those at least that `span` touches (None: of all), where the source has them."""
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
