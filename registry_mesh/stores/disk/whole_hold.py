"""The hold of a blob that is complete: somebody committed it before it was asked for."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from registry_mesh.chunks.chunk_map import ChunkMap, count
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, FileSlice
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import ChunkState, Give
from registry_mesh.stores.disk.hold import feed
from registry_mesh.stores.disk.looks import signature
from registry_mesh.stores.disk.open_files import OpenFile, OpenFiles
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload


class WholeHold:
    """Implements `ports.partial.Hold`: all proven, nothing to claim. `look_at` reads and checks a chunk."""

    committed = True
    discarded = False
    untouched = False  # nothing of it is proven: the store that has it looks at it
    doubted = False

    def __init__(
        self,
        info: BlobInfo,
        file: OpenFile,
        files: OpenFiles,
        look_at: Callable[[int], Awaitable[bool]],
    ) -> None:
        self.info = info
        self.rests = False
        self._file = file
        self._files = files
        self._fd = file.fd
        self._look_at = look_at

    def __repr__(self) -> str:
        return f"<hold of {self.info.digest}: complete>"

    def state(self, index: int) -> ChunkState:
        return ChunkState.PROVEN

    def states(self) -> bytes:
        return bytes((ChunkState.PROVEN,)) * count(self.info.size)

    def run(self, index: int, stop: int, state: ChunkState) -> int:
        return max(index, stop)

    def claim(self, chunks: range) -> range:
        return range(chunks.start, chunks.start)

    def unclaim(self, chunks: range) -> None:
        """Nothing can be claimed."""

    def want(self, index: int) -> None:
        """It is there."""

    def take_want(self, chunks: range) -> int | None:
        return None

    async def write(self, offset: int, give: Give, then: Callable[[], None]) -> None:
        raise StoreBroken("the blob is complete")

    def mark(self, index: int, state: ChunkState, chunks: int = 1) -> None:
        if state is ChunkState.MISSING:
            raise StoreBroken("the blob is complete")

    async def feed(self, span: Span, sink: Callable[[memoryview], object]) -> None:
        with translated("reading a blob"):
            await offload(feed, self._fd, span, sink)

    def slice(self, span: Span) -> FileSlice:
        return FileSlice(self._fd, span.start, span.stop)

    def checked(self) -> bytes:
        return bytes(count(self.info.size))

    async def check(self, index: int) -> bool:
        return await self._look_at(index)

    def rest(self) -> bool:
        if not self.rests:
            self.rests = True
            self._files.rest(self._file)
        return True

    def wake(self) -> bool:
        if self.rests:
            self.rests = not self._files.wake(self._file)
        status = os.fstat(self._fd)
        return not self.rests and bool(status.st_nlink) and signature(status) == self._file.look.signature

    async def commit(self, chunk_map: ChunkMap | None) -> None:
        """It is."""

    async def discard(self) -> None:
        """A blob that was committed is not dropped for what one hold believes."""
