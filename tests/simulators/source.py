"""A source of blobs that can break off, lie, stall, throttle and count what was asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.chunks.sums import NEWEST, SumAlgorithm
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Provenance, Streamed
from registry_mesh.ports.failures import SourceUnavailable, SpanUnsatisfiable
from tests.suites.chunk_maps import excerpt


@dataclass
class SimulatedSource:
    """Blobs by digest. The knobs may be turned while it is read from."""

    name: str = "parent"
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    maps: bool = False
    maps_lie: bool = False
    """Chunk maps are of the bytes that it sends, flipped ones included."""
    direct: bool = False
    """Bodies are received by the thread that stores them."""
    piece: int = 64 << 10
    delay: float = 0.0
    """Seconds before each piece."""
    cut_every: int | None = None
    flip_at: int | None = None
    down: bool = False
    gate: asyncio.Event | None = None
    """Where there is one, no piece leaves before it is set."""
    gate_at: int = 0
    """Offset in a blob at which the gate stands: pieces before it leave at once."""
    head_says: int | None = None
    """The size that `stat` tells of every blob, true or not."""
    says: int | None = None
    """The size that its answers state of every blob: they break off where there are fewer bytes."""
    says_times: int = 1 << 62
    """How many answers state it; those behind them are true."""
    opened: list[Span] = field(default_factory=list)
    stats: int = 0
    sent: int = 0
    maps_asked: int = 0
    sums: SumAlgorithm = NEWEST
    """By which its maps are made."""

    def add(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        self.blobs[digest] = data
        return digest

    def blob(self, digest: Digest) -> bytes:
        if self.down:
            raise SourceUnavailable("is down", source=self.name)
        if digest not in self.blobs:
            raise BlobUnknown(digest=str(digest))
        return self.blobs[digest]

    async def stat(self, digest: Digest) -> BlobInfo:
        self.stats += 1
        data = self.blob(digest)
        return BlobInfo(digest, len(data) if self.head_says is None else self.head_says)

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        self.maps_asked += 1
        if not self.maps:
            return None
        data = bytearray(self.blob(digest))
        if self.maps_lie and self.flip_at is not None:
            data[self.flip_at] ^= 1
        mapper = ChunkMapper(self.sums)
        mapper.update(data)
        return excerpt(mapper.finish(), span)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[_Reading]:
        data = self.blob(digest)
        size = len(data)
        if self.says is not None and self.says_times > 0:
            self.says_times -= 1
            size = self.says
        wanted = span or Span(0, size)
        if span is not None and wanted.start >= size:
            raise SpanUnsatisfiable(size)
        wanted = Span(wanted.start, min(wanted.stop, size))
        self.opened.append(wanted)
        yield _Reading(self, BlobInfo(digest, size), wanted, data)


class _DirectBody:
    """Pieces, as if they lay in a socket."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._there = memoryview(b"")

    async def ready(self, least: int) -> None:
        if not self._there:
            self._there = memoryview(await anext(self._pieces))

    def receive_into(self, buffer: memoryview) -> int:
        size = min(len(buffer), len(self._there))
        buffer[:size] = self._there[:size]
        self._there = self._there[size:]
        return size


class _Reading(Streamed):
    def __init__(self, source: SimulatedSource, info: BlobInfo, span: Span, data: bytes) -> None:
        self._source = source
        self._data = data
        self.info = info
        self.span = span
        self.provenance = Provenance(hit=False, source=source.name)

    @contextmanager
    def direct(self) -> Iterator[_DirectBody | None]:
        yield _DirectBody(self.pieces()) if self._source.direct else None

    async def pieces(self) -> AsyncIterator[bytes]:
        source, position = self._source, self.span.start
        while position < self.span.stop:
            if source.gate is not None and position >= source.gate_at:
                await source.gate.wait()
            await asyncio.sleep(source.delay)
            if source.down:
                raise SourceUnavailable("went down", source=source.name)
            stop = min(self.span.stop, position + source.piece, len(self._data))
            if stop <= position:
                raise SourceUnavailable("broke off before the end", source=source.name)
            if source.cut_every is not None and stop - self.span.start > source.cut_every:
                raise SourceUnavailable("cut", source=source.name)
            data = bytearray(self._data[position:stop])
            if source.flip_at is not None and position <= source.flip_at < stop:
                data[source.flip_at - position] ^= 1
            source.sent += len(data)
            yield bytes(data)
            position = stop
