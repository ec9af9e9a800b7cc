"""What this process has looked at: which chunks of stored blobs were read, and are what was stored.

A small blob is checked by its digest; a larger one chunk by chunk, by the checksums of its hold file or the sums of
its chunk map; one that has neither by its digest as a whole. A look is good until the file's time of change, size or
inode is another.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMapInvalid, chunk_span, count
from registry_mesh.chunks.map_format import BEGINNING, MapShape
from registry_mesh.chunks.sums import SUM, SumAlgorithm
from registry_mesh.oci.digest import Digest
from registry_mesh.stores.checksum import crc32
from registry_mesh.stores.disk import hold_file
from registry_mesh.stores.disk.hold_file import stated_size
from registry_mesh.stores.disk.layout import Layout

_ROOM: Final = 16 << 20
"""Bytes of memory for looks at partial blobs; a chunk takes one."""

_Kept = tuple[int, int, bytes]

_KEPT: Final = 65_536
"""Blobs remembered: some 30 MiB."""

Signature = tuple[int, int, int, int]


def signature(status: os.stat_result) -> Signature:
    """Anything that writes to a file changes it."""
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class Look:
    """At one complete blob. `complete` is all that a hit looks at; `sized`: the file is as long as the blob."""

    __slots__ = ("chunks", "complete", "signature", "sized")

    def __init__(self, status: os.stat_result) -> None:
        self.signature = signature(status)
        self.chunks = bytearray(max(1, count(status.st_size)))
        self.complete = False
        self.sized = False

    def add(self, index: int) -> None:
        """Note that a chunk was looked at."""
        self.chunks[index] = 1
        if index == len(self.chunks) - 1 or not index:  # often enough: readers begin or end there
            self.complete = 0 not in self.chunks

    def add_all(self) -> None:
        """Note that all of the file was looked at, and its size."""
        self.chunks = bytearray(b"\1") * len(self.chunks)
        self.complete = self.sized = True

    def run(self, index: int, stop: int) -> int:
        """The first chunk in [index, stop) that was not looked at, or `stop`."""
        if self.complete:
            return stop
        found = self.chunks.find(0, index, stop)
        return stop if found < 0 else found


class Looks:
    """At many complete blobs, the latest used kept."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: OrderedDict[str, Look] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, digest: Digest, status: os.stat_result) -> Look:
        """What was looked at of the file with that status; a new one where it is another file than last time."""
        with self._lock:
            look = self._known.get(digest.hex)
            if look is None or look.signature != signature(status):
                look = self._known[digest.hex] = Look(status)
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(digest.hex)
            return look

    def look_at(self, digest: Digest, fd: int, look: Look, start: int, stop: int) -> int | None:
        """Read and check chunks [start, stop); gives the first that does not fit. In a thread."""
        size = os.fstat(fd).st_size
        if count(size) > len(look.chunks):  # it has just grown
            return start
        if size <= CHUNK:
            return self._look_at_all(digest, fd, look)
        checks = self.checks(digest, size, start, stop)
        if checks is None:
            return self._look_at_all(digest, fd, look)
        for index in range(start, stop):
            span = chunk_span(index, size)
            if not checks.fits(index, os.pread(fd, len(span), span.start)):
                return index
            look.add(index)
        return None

    def size_up(self, digest: Digest, fd: int, look: Look) -> int | None:
        """See that the file is as long as the blob, so that no wrong size is told; like `look_at`."""
        stated = self.stated_size(digest)
        size = look.signature[2]  # as it was opened: that is what is told, whatever it has become
        if stated is None and size <= CHUNK:
            return self._look_at_all(digest, fd, look)
        if stated is not None and stated != size:
            return min(size, stated) // CHUNK
        look.sized = True
        return None

    def stated_size(self, digest: Digest) -> int | None:
        """What stands beside the blob says of its length."""
        return stated_size(self._layout.blob_hold(digest)) or self._mapped_size(digest)

    def _mapped_size(self, digest: Digest) -> int | None:
        try:
            with self._layout.blob_chunks(digest).open("rb") as file:
                return MapShape.read(file.read(BEGINNING)).size
        except (FileNotFoundError, ChunkMapInvalid):
            return None

    def _look_at_all(self, digest: Digest, fd: int, look: Look) -> int | None:
        hasher, offset = digest.hasher(), 0
        while data := os.pread(fd, CHUNK, offset):
            hasher.update(data)
            offset += len(data)
        if hasher.hexdigest() != digest.hex:
            return 0
        look.add_all()
        return None

    def checks(self, digest: Digest, size: int, start: int, stop: int) -> _Checksums | _Sums | None:
        """What chunks [start, stop) of a blob can be checked by; None where only its digest is known."""
        try:
            with self._layout.blob_hold(digest).open("rb", buffering=0) as file:
                if hold_file.read_size(file.read(64)) == size:
                    offset, length = hold_file.records_at(start, stop - start)
                    return _Checksums(os.pread(file.fileno(), length, offset), start)
        except (FileNotFoundError, hold_file.HoldFileInvalid):
            pass
        try:
            with self._layout.blob_chunks(digest).open("rb", buffering=0) as file:
                shape = MapShape.read(file.read(BEGINNING))
                if shape.size != size:
                    return None
                offset, length = shape.sums_of(
                    range(start, stop)
                )  # the whole map is MBs, and asked for often
                sums = os.pread(file.fileno(), length, offset)
        except (FileNotFoundError, ChunkMapInvalid):
            return None
        return _Sums(sums, start, shape.algorithm) if len(sums) == length else None


class _Checksums:
    """The records of some chunks in a hold file."""

    def __init__(self, records: bytes, first: int) -> None:
        self._records = records
        self._first = first

    def fits(self, index: int, data: bytes) -> bool:
        return crc32(data) == hold_file.crc32_in(self._records, index - self._first)


class _Sums:
    """The sums of some chunks in a chunk map."""

    def __init__(self, sums: bytes, first: int, algorithm: SumAlgorithm) -> None:
        self._sums = sums
        self._first = first
        self._algorithm = algorithm

    def fits(self, index: int, data: bytes) -> bool:
        at = (index - self._first) * SUM
        return self._algorithm.of(data) == self._sums[at : at + SUM]


class PartLooks:
    """At the chunks of partial blobs, kept from one hold of a blob to the next: clients come and go, and each of them
    would else have all that it reads checked again. True of a file as long as nobody writes to it, those who fill it
    included. Any thread may call it."""

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._kept: OrderedDict[Digest, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, digest: Digest, status: os.stat_result, checked: bytes) -> None:
        """A byte for each chunk: 1 where it was looked at, and good, in the file with that status."""
        with self._lock:
            self._drop(digest)
            self._kept[digest] = (status.st_ino, status.st_mtime_ns, checked)
            self._room -= len(checked)
            while self._room < 0:
                self._drop(next(iter(self._kept)))

    def _drop(self, digest: Digest) -> None:
        kept = self._kept.pop(digest, None)
        if kept is not None:
            self._room += len(kept[2])

    def of(self, digest: Digest, status: os.stat_result) -> bytes | None:
        """What was looked at of the part with this status; None where it has changed since."""
        with self._lock:
            kept = self._kept.get(digest)
        return kept[2] if kept and kept[:2] == (status.st_ino, status.st_mtime_ns) else None
