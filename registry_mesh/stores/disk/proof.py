"""What this process has proven of complete blobs: which chunks were read and fitted, under which stat signature.

A small blob is proven by its digest; a larger one chunk by chunk, by the checksums of its hold file or the sums of
its chunk map; one that has neither by its digest as a whole. A proof holds until the file's time of change, size or
inode is another.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Final

from registry_mesh.chunks.chunk_map import (
    CHUNK,
    ChunkMap,
    ChunkMapInvalid,
    chunk_span,
    count,
    proves,
    sums_at,
)
from registry_mesh.oci.digest import Digest
from registry_mesh.stores.checksum import crc32
from registry_mesh.stores.disk import hold_file
from registry_mesh.stores.disk.hold_file import stated_size
from registry_mesh.stores.disk.layout import Layout

_KEPT: Final = 65_536
"""Blobs remembered: some 30 MiB."""

Signature = tuple[int, int, int, int]


def signature(status: os.stat_result) -> Signature:
    """Anything that writes to a file changes it."""
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class Proof:
    """Of one blob. `complete` is all that a hit looks at; `sized`: the file is as long as the blob."""

    __slots__ = ("chunks", "complete", "signature", "sized")

    def __init__(self, status: os.stat_result) -> None:
        self.signature = signature(status)
        self.chunks = bytearray(max(1, count(status.st_size)))
        self.complete = False
        self.sized = False

    def add(self, index: int) -> None:
        self.chunks[index] = 1
        if index == len(self.chunks) - 1 or not index:  # often enough: readers begin or end there
            self.complete = 0 not in self.chunks

    def add_all(self) -> None:
        self.chunks = bytearray(b"\1") * len(self.chunks)
        self.complete = self.sized = True

    def run(self, index: int, stop: int) -> int:
        """The first chunk in [index, stop) that is not proven, or `stop`."""
        if self.complete:
            return stop
        found = self.chunks.find(0, index, stop)
        return stop if found < 0 else found


class Proofs:
    """Of many blobs, the latest used kept."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: OrderedDict[str, Proof] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, digest: Digest, status: os.stat_result) -> Proof:
        """What is proven of the file with that status; a new one where it is another file than last time."""
        with self._lock:
            proof = self._known.get(digest.hex)
            if proof is None or proof.signature != signature(status):
                proof = self._known[digest.hex] = Proof(status)
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(digest.hex)
            return proof

    def prove(self, digest: Digest, fd: int, proof: Proof, start: int, stop: int) -> int | None:
        """Read and check chunks [start, stop); gives the first that does not fit. In a thread."""
        size = os.fstat(fd).st_size
        if count(size) > len(proof.chunks):  # it has just grown
            return start
        if size <= CHUNK:
            return self._prove_whole(digest, fd, proof)
        checks = self.checks(digest, size, start, stop)
        if checks is None:
            return self._prove_whole(digest, fd, proof)
        for index in range(start, stop):
            span = chunk_span(index, size)
            if not checks.fits(index, os.pread(fd, len(span), span.start)):
                return index
            proof.add(index)
        return None

    def size_up(self, digest: Digest, fd: int, proof: Proof) -> int | None:
        """See that the file is as long as the blob, so that no wrong size is told; like `prove`."""
        stated = self.stated_size(digest)
        size = proof.signature[2]  # as it was opened: that is what is told, whatever it has become
        if stated is None and size <= CHUNK:
            return self._prove_whole(digest, fd, proof)
        if stated is not None and stated != size:
            return min(size, stated) // CHUNK
        proof.sized = True
        return None

    def stated_size(self, digest: Digest) -> int | None:
        """What stands beside the blob says of its length."""
        return stated_size(self._layout.blob_hold(digest)) or self._mapped_size(digest)

    def _mapped_size(self, digest: Digest) -> int | None:
        try:
            with self._layout.blob_chunks(digest).open("rb") as file:
                return ChunkMap.decode_size(file.read(32))
        except (FileNotFoundError, ChunkMapInvalid):
            return None

    def _prove_whole(self, digest: Digest, fd: int, proof: Proof) -> int | None:
        hasher, offset = digest.hasher(), 0
        while data := os.pread(fd, CHUNK, offset):
            hasher.update(data)
            offset += len(data)
        if hasher.hexdigest() != digest.hex:
            return 0
        proof.add_all()
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
                if ChunkMap.decode_size(file.read(64)) != size:
                    return None
                offset, length = sums_at(start, stop - start)  # the whole map is MBs, and asked for often
                sums = os.pread(file.fileno(), length, offset)
        except (FileNotFoundError, ChunkMapInvalid):
            return None
        return _Sums(sums, start) if len(sums) == length else None


class _Checksums:
    """The records of some chunks in a hold file."""

    def __init__(self, records: bytes, first: int) -> None:
        self._records = records
        self._first = first

    def fits(self, index: int, data: bytes) -> bool:
        return crc32(data) == hold_file.crc32_in(self._records, index - self._first)


class _Sums:
    """The sums of some chunks in a chunk map."""

    def __init__(self, sums: bytes, first: int) -> None:
        self._sums = sums
        self._first = first

    def fits(self, index: int, data: bytes) -> bool:
        return proves(self._sums, index - self._first, data)
