"""A blob on its way into memory."""

from __future__ import annotations

from typing import Protocol

from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.chunks.sums import NEWEST, SumAlgorithm
from registry_mesh.oci.digest import Digest, new_hasher
from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.stores.memory.blob import AnonymousFile, MemoryBlob
from registry_mesh.stores.writing import write_all


class BlobTaker(Protocol):
    """The store that a blob goes to."""

    def reserve(self, room: int) -> None:
        """Take room (give it back, where negative); `StoreFull` where there is none."""
        ...

    def take(self, blob: MemoryBlob) -> None:
        """Keep a blob whose room is reserved."""
        ...


class MemoryIngest:
    """Implements `ports.blobs.Ingest`."""

    def __init__(
        self, store: BlobTaker, expected: Digest | None, algorithm: str, sums: SumAlgorithm = NEWEST
    ) -> None:
        self._store = store
        self._algorithm = expected.algorithm if expected else algorithm
        self._hasher = new_hasher(self._algorithm)
        self._mapper = ChunkMapper(sums)
        self._expected = expected
        self._file = AnonymousFile()
        self.offset = 0

    async def write(self, data: bytes) -> None:
        """Take the bytes in. `StoreFull` by the quota."""
        self._store.reserve(len(data))
        write_all(self._file.fd, [data], self.offset)
        self._hasher.update(data)
        self._mapper.update(data)
        self.offset += len(data)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Make what came the blob. `DigestInvalid` where it has another digest."""
        digest = Digest(self._algorithm, self._hasher.hexdigest())
        for wanted in (expected, self._expected):
            if wanted is not None and wanted != digest:
                raise DigestInvalid(given=str(wanted), computed=str(digest))
        info = BlobInfo(digest, self.offset)
        self._store.take(MemoryBlob(info, self._file, self._mapper.finish()))
        self.offset = 0
        return info

    def abort(self) -> None:
        """Give back the room of what came."""
        self._store.reserve(-self.offset)
