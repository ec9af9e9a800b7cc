"""The reading side of a disk store: complete blobs, opened and proven before a byte of them leaves."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB, count
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import HELD, BlobInfo, Buffered, FileSlice, Piece, Provenance
from registry_mesh.ports.failures import StoreBroken, StoreRotten
from registry_mesh.stores.disk.looks import Looks, signature
from registry_mesh.stores.disk.open_files import OpenFile, OpenFiles
from registry_mesh.stores.disk.rot import Rot
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload

_STEP: Final = 8 * MIB // CHUNK
"""Chunks proven at a time: the next bytes are not long in coming, and a thread is not woken for little."""

_TRIES: Final = 10
"""Openings of a file that another process is changing."""


class WholeBlobs:
    """Complete blobs of `shelf`. In a cache, a blob that rots becomes a partial one; elsewhere it is put aside.
    `use` is told of every opening."""

    def __init__(self, shelf: Shelf, use: Callable[[Digest], None], *, cache: bool) -> None:
        self._shelf = shelf
        self.use = use
        self._cache = cache
        self.looks = Looks(shelf.layout)
        self.files = OpenFiles(shelf.layout, self.looks)
        self.rotten = 0

    async def open(self, digest: Digest) -> OpenFile:
        """The blob's file, as long as the blob; `files.release` it. `BlobUnknown`."""
        for _ in range(_TRIES):
            file = self.files.again(digest)
            if file is None:
                with translated("opening a blob"):
                    file = await offload(self.files.open, digest)
                if file is None:
                    raise BlobUnknown(digest=str(digest))
            try:
                if file.look.sized or await self.is_sized(file):
                    self.use(digest)
                    return file
            except BaseException:
                self.files.release(file)
                raise
            self.files.drop(file)
            self.files.release(file)
        raise StoreBroken(f"{digest} changes all the time")

    async def is_sized(self, file: OpenFile) -> bool:
        """Whether the file is as it was when it was opened, and as long as the blob. False where it has changed since:
        it was cut short then, and has been mended in place; its length at the opening must not be told."""
        bad = await self._read(self.looks.size_up, file)
        if signature(os.fstat(file.fd)) != file.look.signature:
            return False
        await self._found(file, bad, opening=True)
        return True

    async def look_at(self, file: OpenFile, start: int, stop: int, *, opening: bool = False) -> None:
        """Have chunks [start, stop) read and checked, where they are not proven."""
        if file.look.run(start, stop) < stop:
            bad = await self._read(self.looks.look_at, file, start, stop)
            await self._found(file, bad, opening=opening)

    async def _read(self, check: Callable[..., int | None], file: OpenFile, *chunks: int) -> int | None:
        with translated("checking a blob"):
            return await offload(check, file.digest, file.fd, file.look, *chunks)

    async def _found(self, file: OpenFile, bad: int | None, *, opening: bool) -> None:
        """Chunk `bad` has rotted, where it is not None. A cache has the blob in part only from then on (`BlobUnknown`
        while opening); any other store has put it aside (`StoreRotten`)."""
        if bad is None:
            return
        self.rotten += 1
        rot = Rot(self._shelf, BlobInfo(file.digest, file.size), file.fd)
        with translated("taking a rotten blob away"):
            await offload(rot.demote if self._cache else rot.quarantine, bad)
        self.files.drop(file)
        if opening and self._cache:
            raise BlobUnknown(digest=str(file.digest))
        raise StoreRotten(f"chunk {bad} of {file.digest} has rotted", file.size)


class DiskReading(Buffered):
    """Implements `ports.blobs.Reading`, and its own context: a hit neither waits nor wakes a thread."""

    def __init__(self, blobs: WholeBlobs, digest: Digest, span: Span | None) -> None:
        self._blobs = blobs
        self._digest = digest
        self._asked = span
        self._rests = False
        self._file: OpenFile
        self.info: BlobInfo
        self.span: Span
        self.address: str | None = None
        self.provenance: Provenance = HELD

    async def __aenter__(self) -> DiskReading:
        self._file = await self._blobs.open(self._digest)
        try:
            self.info = BlobInfo(self._digest, self._file.size)
            self.span = self.info.clip(self._asked)
            first = self.span.start // CHUNK
            if self.span:
                await self._blobs.look_at(self._file, first, first + 1, opening=True)
        except BaseException:
            self._blobs.files.release(self._file)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._blobs.files.release(self._file, resting=self._rests)

    def rest(self, span: Span | None = None) -> bool:
        if span is not None and self.ready(span) is None:
            return False
        if not self._rests:
            self._rests = True
            self._blobs.files.rest(self._file)
        return True

    def still(self, span: Span) -> bool:
        return self.ready(span) is not None

    def ready(self, span: Span) -> FileSlice | None:
        """Where the file is unchanged and every chunk of the span was proven before. Counts as a use."""
        file = self._file
        if self._rests:
            self._rests = not self._blobs.files.wake(file)
            if self._rests:
                return None
        look, status = file.look, os.fstat(file.fd)
        if not status.st_nlink or look.signature != signature(status):
            return None
        if not look.complete and look.run(span.start // CHUNK, count(span.stop)) < count(span.stop):
            return None
        self._blobs.use(self._digest)
        return FileSlice(file.fd, span.start, span.stop)

    async def pieces(self) -> AsyncIterator[Piece]:
        """One slice, where all is proven; else a slice after each step of proving."""
        file, start, stop = self._file, self.span.start, self.span.stop
        while start < stop:
            proven = file.look.run(start // CHUNK, count(stop)) * CHUNK
            if proven <= start:
                first = start // CHUNK
                await self._blobs.look_at(file, first, min(first + _STEP, count(stop)))
                continue
            yield FileSlice(file.fd, start, min(stop, proven))
            start = proven
