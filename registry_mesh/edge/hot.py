"""What is hot: answers whose every byte is known and in place, by the very bytes of the request line.

The slow path admits an answer when it was a hit; the fast path (`edge.fast`) takes it from here. An entry is never
a permission (the policy is asked each time) and never a fact of its own: a blob's bytes are sent only while its
reading says that they are ready, a tag's only while it is fresh.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from registry_mesh.auth.access import Asked
from registry_mesh.content.errors import Failure
from registry_mesh.content.ports import BlobSource, Reading
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.errors import Refusal

PINNED: Final = 512
"""Blobs kept open."""

MEMORY: Final = 64 << 20
"""Bytes of manifests kept, with 1 KiB for each entry."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The parts of an answer that are the same each time. `fields`: the head's lines up to Age or Content-Length;
    `tail`: those after X-Request-Id, with the empty line; `log`: the access log's line between client and status."""

    asked: Asked
    method: str
    fields: bytes
    tail: bytes
    log: str


class HotManifest:
    """`body` is empty for HEAD; `length` is Content-Length's line."""

    __slots__ = ("body", "confirmed", "kind", "length", "shape", "until")

    def __init__(
        self, shape: Shape, kind: str, size: int, body: bytes, confirmed: float | None, until: float
    ) -> None:
        self.shape = shape
        self.kind = kind
        """For the cache counter: tag or manifest."""
        self.length = b"Content-Length: %d\r\n" % size
        self.body = body
        self.confirmed = confirmed
        """When the source last confirmed it, in the loop's time; None where it cannot be stale."""
        self.until = until
        """The loop's time from which it is no longer fresh."""


class HotBlob:
    """A complete blob, kept open."""

    __slots__ = ("reading", "sending", "shape", "size", "stack", "used")

    def __init__(self, shape: Shape, reading: Reading, stack: AsyncExitStack, now: float) -> None:
        self.shape = shape
        self.reading = reading
        self.stack = stack
        self.size = reading.info.size
        self.used = now
        self.sending = 0
        """Answers on their way from its file."""


class Hot:
    """One per listener. A blob is let go `idle` seconds after its last use, so that it can be evicted."""

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self.blobs: dict[bytes, HotBlob] = {}
        self.manifests: OrderedDict[bytes, HotManifest] = OrderedDict()
        self._bytes = 0
        self._once: OrderedDict[bytes, None] = OrderedDict()
        self._opening: dict[bytes, asyncio.Task[None]] = {}
        self._leaving: list[HotBlob] = []  # let go while an answer was on its way
        self._sweeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Hot {len(self.blobs)} blobs, {len(self.manifests)} manifests of {self._bytes} bytes>"

    def start(self) -> None:
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="hot")

    async def close(self) -> None:
        tasks = [*self._opening.values(), *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for entry in [*self.blobs.values(), *self._leaving]:
            await entry.stack.aclose()
        self.blobs.clear()
        self._leaving.clear()

    # -- manifests and tags -----------------------------------------------------------------------------------

    def admit_manifest(self, key: bytes, entry: HotManifest) -> None:
        self.forget_manifest(key)
        self.manifests[key] = entry
        self._bytes += _cost(key, entry)
        while self._bytes > MEMORY:
            self.forget_manifest(next(iter(self.manifests)))

    def forget_manifest(self, key: bytes) -> None:
        entry = self.manifests.pop(key, None)
        if entry is not None:
            self._bytes -= _cost(key, entry)

    # -- blobs ------------------------------------------------------------------------------------------------

    def admit_blob(self, key: bytes, blobs: BlobSource, digest: Digest, shape: Shape) -> None:
        """Keep it open from the second time on that it is asked for."""
        if key in self.blobs or key in self._opening or len(self.blobs) + len(self._opening) >= PINNED:
            return
        if key not in self._once:
            self._once[key] = None
            if len(self._once) > 4 * PINNED:
                self._once.popitem(last=False)
            return
        del self._once[key]
        task = asyncio.get_running_loop().create_task(self._open(key, blobs, digest, shape))
        self._opening[key] = task
        task.add_done_callback(lambda _: self._opening.pop(key, None))

    async def _open(self, key: bytes, blobs: BlobSource, digest: Digest, shape: Shape) -> None:
        stack = AsyncExitStack()
        try:
            reading = await stack.enter_async_context(blobs.open(digest))
        except (Failure, Refusal):
            return
        self.blobs[key] = HotBlob(shape, reading, stack, asyncio.get_running_loop().time())

    def forget_blob(self, key: bytes) -> None:
        """It is not what it was: the slow path finds out."""
        if key in self.blobs:
            self._opening[key] = task = asyncio.get_running_loop().create_task(self._let_go(key))
            task.add_done_callback(lambda _: self._opening.pop(key, None))

    async def _let_go(self, key: bytes) -> None:
        entry = self.blobs.pop(key, None)
        if entry is None:
            return
        if entry.sending:
            self._leaving.append(entry)
        else:
            await entry.stack.aclose()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(0.5, self._idle / 2))
            before = loop.time() - self._idle
            for key in [k for k, e in self.blobs.items() if e.used < before and not e.sending]:
                await self._let_go(key)
            done = [e for e in self._leaving if not e.sending]
            self._leaving = [e for e in self._leaving if e.sending]
            for entry in done:
                await entry.stack.aclose()


def _cost(key: bytes, entry: HotManifest) -> int:
    return len(entry.body) + len(key) + 1024
