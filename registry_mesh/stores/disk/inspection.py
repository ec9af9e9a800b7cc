"""Everything a disk store holds, read again: whole blobs chunk by chunk and by their digest, partial ones by chunk.

Nothing that was proven before counts, and what is found rotten is held no more when it is told.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, chunk_span, count
from registry_mesh.oci.digest import ALGORITHMS, Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.inspection import Inspected
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk.hold import DiskHold
from registry_mesh.stores.disk.layout import CHUNKS, HOLD
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.disk.looks import Looks
from registry_mesh.stores.disk.part_files import open_part
from registry_mesh.stores.disk.read_apart import alone, read_apart
from registry_mesh.stores.disk.rot import Rot
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload

_STEP: Final = (1 << 20) // CHUNK
_HEX: Final = "0123456789abcdef"


class Inspection:
    """Implements `content.scrub.Inspectable`. In a cache what has rotted becomes missing; elsewhere the blob is put
    aside."""

    def __init__(self, shelf: Shelf, *, cache: bool) -> None:
        self._shelf = shelf
        self._cache = cache
        self._looks = Looks(shelf.layout)

    async def digests(self, after: Digest | None, stored_before: float) -> AsyncIterator[Digest]:
        """Every blob after `after`, in order, whenever it was stored: a disk does not say."""
        for algorithm in ALGORITHMS:
            if after is not None and algorithm < after.algorithm:
                continue
            last = after.hex if after is not None and after.algorithm == algorithm else ""
            for board in (a + b for a in _HEX for b in _HEX):
                if board >= last[:2]:
                    for name in await offload(self._names, algorithm, board):
                        if name > last:
                            yield Digest(algorithm, name)

    def _names(self, algorithm: str, board: str) -> list[str]:
        names: set[str] = set()
        with translated("listing what is held"):
            for place in (self._shelf.layout.blobs, self._shelf.layout.partial):
                try:
                    names.update(os.listdir(place / algorithm / board))
                except (FileNotFoundError, NotADirectoryError):
                    continue
        return sorted(name for name in names if not name.endswith((HOLD, CHUNKS)))

    async def inspect(self, digest: Digest) -> AsyncIterator[Inspected]:
        """Read a blob again, chunk by chunk; the last step says whether it is what it should be."""
        with translated(f"opening {digest}"):
            whole = await offload(self._open, digest)
        first = 0
        if whole is not None:
            try:
                while not whole.ended:
                    with translated(f"reading {digest}"):
                        yield await offload(whole.step)
            finally:
                os.close(whole.fd)
            if whole.bad is None or not self._cache:
                return
            first = whole.bad + 1
        async for step in self._partial(digest, first):
            yield step

    def _open(self, digest: Digest) -> _WholeBlob | None:
        try:
            fd = os.open(self._shelf.layout.blob(digest), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not try_flock(fd, shared=True) or not os.fstat(fd).st_nlink:  # it is being evicted
            os.close(fd)
            return None
        alone(fd)
        return _WholeBlob(self._shelf, self._looks, digest, fd, cache=self._cache)

    async def _partial(self, digest: Digest, first: int) -> AsyncIterator[Inspected]:
        with translated(f"opening a part of {digest}"):
            hold = await offload(self._hold, digest)
        if hold is None:
            return
        try:
            chunks = count(hold.info.size)
            for start in range(first, chunks, _STEP):
                if hold.committed or hold.discarded:
                    return
                step = range(start, min(chunks, start + _STEP))
                held = [index for index in step if hold.state(index) != ChunkState.MISSING]
                if held:
                    bad = await hold.recheck(held)
                    size = sum(len(chunk_span(index, hold.info.size)) for index in held)
                    yield Inspected(size, tuple(chunk_span(index, hold.info.size) for index in bad))
        finally:
            await hold.close()

    def _hold(self, digest: Digest) -> DiskHold | None:
        with self._shelf.alone(digest):
            if self._shelf.layout.blob(digest).exists():
                return None
            files = open_part(self._shelf, digest, None)
            return DiskHold(files) if files else None


class _WholeBlob:
    """A complete blob, open at `fd`. In threads. `bad`: the chunk that ended it."""

    def __init__(self, shelf: Shelf, looks: Looks, digest: Digest, fd: int, *, cache: bool) -> None:
        self.fd = fd
        self.bad: int | None = None
        self.ended = False
        self._digest = digest
        self._size = os.fstat(fd).st_size
        self._stated = looks.stated_size(digest)
        self._chunks = count(self._size)
        self._checks = looks.checks(digest, self._size, 0, self._chunks) if self._size > CHUNK else None
        self._hasher = digest.hasher()
        self._next = 0
        self._rot = Rot(shelf, BlobInfo(digest, self._size), fd)
        self._cache = cache

    def step(self) -> Inspected:
        if self._stated is not None and self._stated != self._size:
            return self._found(min(self._stated, self._size) // CHUNK, 0)
        read = 0
        for index in range(self._next, min(self._chunks, self._next + _STEP)):
            span = chunk_span(index, self._size)
            data = read_apart(self.fd, span.start, len(span))
            read += len(data)
            self._hasher.update(data)
            if self._checks is not None and not self._checks.fits(index, data):
                return self._found(index, read)
            self._next = index + 1
        if self._next < self._chunks:
            return Inspected(read)
        self.ended = True
        if self._hasher.hexdigest() == self._digest.hex:
            return Inspected(read)
        if (
            self._cache
        ):  # every chunk fits its checksum, or there are none: nobody can tell which one is wrong
            self._rot.remove()
        else:
            self._rot.quarantine(0)
        return Inspected(read, (Span(0, self._stated or self._size),))

    def _found(self, index: int, read: int) -> Inspected:
        self.ended, self.bad = True, index
        size = self._stated or self._size
        if self._cache:
            self._rot.demote(index)
            return Inspected(read, (chunk_span(min(index, count(size) - 1), size),))
        self._rot.quarantine(index)
        return Inspected(read, (Span(0, size),))
