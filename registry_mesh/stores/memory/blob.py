"""A whole blob in memory, and how it is read."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import HELD, BlobInfo, Buffered, FileSlice, Piece, Provenance

SLICED_FROM: Final = 64 << 10
"""Bytes from which a span is given as a slice of the file instead of as bytes."""


class AnonymousFile:
    """A file without a name, closed when nothing refers to it."""

    __slots__ = ("fd",)

    def __init__(self) -> None:
        self.fd = os.memfd_create("registry-mesh", os.MFD_CLOEXEC)

    def __del__(self) -> None:
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class MemoryBlob:
    """A complete blob; `chunk_map` is None where it was committed without one."""

    info: BlobInfo
    file: AnonymousFile
    chunk_map: ChunkMap | None


class MemoryReading(Buffered):
    """Implements `ports.blobs.Reading`."""

    def __init__(self, file: AnonymousFile, info: BlobInfo, span: Span) -> None:
        self._file = file
        self.info = info
        self.span = span
        self.address: str | None = None
        self.provenance: Provenance = HELD

    def ready(self, span: Span) -> FileSlice | None:
        """Return where the bytes lie: all are there."""
        return FileSlice(self._file.fd, span.start, span.stop)

    async def pieces(self) -> AsyncIterator[Piece]:
        """Give the bytes: where they lie, or a copy of few."""
        if len(self.span) >= SLICED_FROM:
            yield FileSlice(self._file.fd, self.span.start, self.span.stop)
        elif self.span:
            yield os.pread(self._file.fd, len(self.span), self.span.start)
