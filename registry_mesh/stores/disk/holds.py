"""Opens holds: a partial blob where some of it is lacking, else the whole one as if it were held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import Hold
from registry_mesh.stores.disk.hold import DiskHold
from registry_mesh.stores.disk.looks import PartLooks
from registry_mesh.stores.disk.part_files import open_part
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.whole_blobs import WholeBlobs
from registry_mesh.stores.disk.whole_hold import WholeHold
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload

_WHILE_EVICTED: Final = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4)
"""Seconds to wait for an eviction under way, before each look but the first."""


class Holds:
    """The holds of one store. `use` notes that a blob is used."""

    def __init__(self, shelf: Shelf, whole_blobs: WholeBlobs, use: Callable[[Digest], None]) -> None:
        self._shelf = shelf
        self._whole_blobs = whole_blobs
        self._use = use
        self._looks = PartLooks()

    @asynccontextmanager
    async def open(self, digest: Digest, size: int) -> AsyncIterator[Hold]:
        """See `ports.cache.CacheStore.hold`."""
        async with AsyncExitStack() as stack:
            yield await self._opened(stack, digest, size)

    async def _opened(self, stack: AsyncExitStack, digest: Digest, size: int) -> Hold:
        """A blob that is found to be complete may be evicted before it is open: look again."""
        for pause in _WHILE_EVICTED:
            with translated("holding a blob"):
                hold = await offload(self._partial, digest, size)
            if hold is not None:
                stack.push_async_callback(hold.close)
                return hold
            with suppress(BlobUnknown):
                return await stack.enter_async_context(self._whole(digest))
            await asyncio.sleep(pause)
        raise StoreBroken(f"{digest} is being evicted")

    def _partial(self, digest: Digest, size: int) -> DiskHold | None:
        """The partial blob; None where it is complete."""
        with self._shelf.alone(digest):
            if self._shelf.has(BlobInfo(digest, size)):
                return None
            files = open_part(self._shelf, digest, size)
            if files is None:
                return None
            if any(files.table.states()):  # else its row says so, made just now
                self._use(digest)
            return DiskHold(files, self._looks)

    @asynccontextmanager
    async def _whole(self, digest: Digest) -> AsyncIterator[WholeHold]:
        file = await self._whole_blobs.open(digest)

        async def look_at(index: int) -> bool:
            try:
                await self._whole_blobs.look_at(file, index, index + 1)
            except StoreBroken:
                return False
            return True

        files = self._whole_blobs.files
        hold = WholeHold(BlobInfo(digest, file.size), file, files, look_at)
        try:
            yield hold
        finally:
            files.release(file, resting=hold.rests)
