"""What is hot: answers whose every byte is known and in place, by the very bytes of the request line.

The slow path admits an answer here when it was a hit; the fast path (`edge.fast`) takes it from here. An entry is
never a permission: the fast path asks the access policy each time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import AsyncExitStack
from typing import Final

from registry_mesh.auth.access import Asked
from registry_mesh.content.errors import Failure
from registry_mesh.content.ports import BlobSource, Reading
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.errors import Refusal

PINNED: Final = 512
"""Blobs kept open."""

MEMORY: Final = 64 << 20
"""Bytes of manifests kept."""

IDLE: Final = 1.0
"""Seconds after its last use that a blob is let go, so that it can be evicted."""


class HotManifest:
    """`status` and fields before the variable ones, the rest of the head, the body (empty for HEAD)."""

    __slots__ = ("age_from", "asked", "body", "digest", "fields", "length", "log", "tail", "until")

    def __init__(
        self,
        asked: Asked,
        fields: bytes,
        tail: bytes,
        body: bytes,
        log: str,
        age_from: float | None,
        until: float,
    ) -> None:
        self.asked = asked
        self.fields = fields
        self.tail = tail
        self.body = body
        self.log = log
        self.age_from = age_from
        """When it was confirmed, in the loop's time; None where it has no age."""
        self.until = until
        """The loop's time from which it is no longer fresh."""


class HotBlob:
    """A complete blob, open. `whole` and `part` are the fields of a 200 and of a 206 that never change."""

    __slots__ = ("asked", "fields", "log", "reading", "size", "stack", "tail", "used")

    def __init__(
        self, asked: Asked, fields: bytes, tail: bytes, log: str, reading: Reading, stack: AsyncExitStack
    ) -> None:
        self.asked = asked
        self.fields = fields
        self.tail = tail
        self.log = log
        self.reading = reading
        self.stack = stack
        self.size = reading.info.size
        self.used = 0.0


class Hot:
    """One per listener."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, HotBlob] = {}
        self.manifests: OrderedDict[bytes, HotManifest] = OrderedDict()
        self._bytes = 0
        self._asked_once: OrderedDict[bytes, None] = OrderedDict()
        self._opening: dict[bytes, asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Hot {len(self.blobs)} blobs, {len(self.manifests)} manifests of {self._bytes} bytes>"

    def start(self) -> None:
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="hot")

    def admit_manifest(self, key: bytes, entry: HotManifest) -> None:
        self._forget_manifest(key)
        self.manifests[key] = entry
        self._bytes += len(entry.body) + len(key) + 1024
        while self._bytes > MEMORY:
            self._forget_manifest(next(iter(self.manifests)))

    def _forget_manifest(self, key: bytes) -> None:
        entry = self.manifests.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.body) + len(key) + 1024

    def stale_manifest(self, key: bytes) -> None:
        """Its time is over: the next request finds out anew."""
        self._forget_manifest(key)

    def admit_blob(
        self,
        key: bytes,
        blobs: BlobSource,
        digest: Digest,
        asked: Asked,
        fields: bytes,
        tail: bytes,
        log: str,
    ) -> None:
        """Open it for keeps when it was asked for twice."""
        if key in self.blobs or key in self._opening or len(self.blobs) + len(self._opening) >= PINNED:
            return
        if key not in self._asked_once:
            self._asked_once[key] = None
            if len(self._asked_once) > 4 * PINNED:
                self._asked_once.popitem(last=False)
            return
        del self._asked_once[key]
        task = asyncio.get_running_loop().create_task(
            self._open(key, blobs, digest, asked, fields, tail, log)
        )
        self._opening[key] = task
        task.add_done_callback(lambda _: self._opening.pop(key, None))

    async def _open(
        self,
        key: bytes,
        blobs: BlobSource,
        digest: Digest,
        asked: Asked,
        fields: bytes,
        tail: bytes,
        log: str,
    ) -> None:
        stack = AsyncExitStack()
        try:
            reading = await stack.enter_async_context(blobs.open(digest))
        except (Failure, Refusal):
            return
        entry = HotBlob(asked, fields, tail, log, reading, stack)
        entry.used = asyncio.get_running_loop().time()
        self.blobs[key] = entry

    async def drop_blob(self, key: bytes) -> None:
        entry = self.blobs.pop(key, None)
        if entry is not None:
            await entry.stack.aclose()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(IDLE / 2)
            before = loop.time() - IDLE
            for key in [key for key, entry in self.blobs.items() if entry.used < before]:
                await self.drop_blob(key)

    async def close(self) -> None:
        tasks = [*self._opening.values(), *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for key in list(self.blobs):
            await self.drop_blob(key)
