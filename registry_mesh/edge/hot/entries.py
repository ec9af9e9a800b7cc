"""What is hot: answers whose every byte is known and in place, by the very bytes of the request line.

An answer of the slow path is kept when it was a hit; the fast path (`edge.hot.connection`) takes it from here. An entry
is never a permission (the policy is asked) and never a fact of its own: a blob's bytes are sent only while its reading
says that they are ready, a tag's only while it is fresh. Policy and reading are asked at most once in `MOMENT`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final

from registry_mesh.edge.hot.blob import HotBlob
from registry_mesh.edge.hot.callers import Callers
from registry_mesh.edge.hot.manifest import HotManifest
from registry_mesh.edge.hot.shape import Shape
from registry_mesh.edge.wire import cold_pages
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource, Reading
from registry_mesh.ports.failures import Failure

MOST: Final = 8_192
"""Blobs kept open, at most: 6 KiB of memory each."""

GROWING: Final = 8
"""One in so many of them may be on its way in: such a one has two open files, and memory for each of its chunks."""

OPEN: Final = 60.0
"""Seconds without use after which a blob's file is closed."""

CROWDED: Final = 10.0
"""Used instead of `OPEN` while 7/8 of the places are taken: a client that asks for more blobs in turn than there
are places still finds some open."""

MEMORY: Final = 64 << 20
"""Bytes of manifests kept, with 1 KiB for each entry."""


class Hot:
    """One per listener. A blob can be evicted again `idle` seconds after its last use; its file stays open for longer.
    At most `most` files are: an unused one for `open_for` seconds, or `crowded_for` where places are short."""

    def __init__(
        self, idle: float, most: int = MOST, open_for: float = OPEN, crowded_for: float = CROWDED
    ) -> None:
        self.idle = idle
        self.most = most
        self.open_for = open_for
        self.crowded_for = crowded_for
        self._pressure = cold_pages.Pressure()
        self.blobs: dict[bytes, HotBlob] = {}
        self.manifests: OrderedDict[bytes, HotManifest] = OrderedDict()
        self._bytes = 0
        self._growing = 0
        self._once: OrderedDict[bytes, None] = OrderedDict()
        self._opening: dict[bytes, asyncio.Task[None]] = {}
        self._leaving: list[HotBlob] = []  # let go while an answer was on its way
        self._sweeper: asyncio.Task[None] | None = None
        self.callers = Callers()

    def __repr__(self) -> str:
        return f"<Hot {len(self.blobs)} blobs, {len(self.manifests)} manifests of {self._bytes} bytes>"

    def start(self) -> None:
        """Begin to let go of what nobody asks for."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="hot")

    async def close(self) -> None:
        """Close every file, and begin nothing more."""
        tasks = [*self._opening.values(), *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for entry in [*self.blobs.values(), *self._leaving]:
            await entry.close()
        self.blobs.clear()
        self._leaving.clear()

    # -- manifests and tags -----------------------------------------------------------------------------------

    def keep_manifest(self, key: bytes, entry: HotManifest) -> None:
        """Keep an answer in place of an earlier one; the oldest go where all take more than `MEMORY` bytes."""
        self.forget_manifest(key)
        self.manifests[key] = entry
        self._bytes += _cost(key, entry)
        while self._bytes > MEMORY:
            self._forget_one()

    def _forget_one(self) -> None:
        """Forget the manifest that was kept first of those not asked for since they were last considered."""
        for _ in range(len(self.manifests)):
            key, entry = next(iter(self.manifests.items()))
            if not entry.used:
                break
            entry.used = False
            self.manifests.move_to_end(key)
        self.forget_manifest(next(iter(self.manifests)))

    def forget_manifest(self, key: bytes) -> None:
        """Drop the answer, and its bytes with it, even where the entry is still remembered."""
        entry = self.manifests.pop(key, None)
        if entry is not None:
            entry.gone = True
            entry.front = entry.back = b""  # heads that ask for it are remembered for longer
            self._bytes -= _cost(key, entry)

    def forget_manifests(self) -> None:
        """Forget them all: tags may point elsewhere."""
        for key in list(self.manifests):
            self.forget_manifest(key)

    # -- blobs ------------------------------------------------------------------------------------------------

    def wants_blob(self, key: bytes) -> bool:
        """Whether it is to be kept open: from the second time on that it is asked for."""
        if key in self.blobs or key in self._opening or len(self.blobs) + len(self._opening) >= self.most:
            return False
        if key in self._once:
            del self._once[key]
            return True
        self._once[key] = None
        if len(self._once) > 4 * self.most:
            self._once.popitem(last=False)
        return False

    def keep_blob(self, key: bytes, blobs: BlobSource, digest: Digest, span: Span, shape: Shape) -> None:
        """Keep open what is wanted. `span` of it is there."""
        task = asyncio.get_running_loop().create_task(self._open(key, blobs.open(digest, span), shape))
        self._opening[key] = task
        task.add_done_callback(lambda _: self._opening.pop(key, None))

    async def _open(self, key: bytes, opening: AbstractAsyncContextManager[Reading], shape: Shape) -> None:
        stack = AsyncExitStack()
        try:
            reading = await stack.enter_async_context(opening)
        except (Failure, Refusal):
            return
        entry = HotBlob(key, shape, reading, stack, self._pressure, asyncio.get_running_loop().time())
        if entry.growing and self._growing >= self.most // GROWING:
            await stack.aclose()
            return
        self._growing += entry.growing
        self.blobs[key] = entry

    def forget_blob(self, key: bytes) -> None:
        """It is not what it was: the slow path finds out."""
        if key in self.blobs:
            self._opening[key] = task = asyncio.get_running_loop().create_task(self._let_go(key))
            task.add_done_callback(lambda _: self._opening.pop(key, None))

    async def _let_go(self, key: bytes) -> None:
        entry = self.blobs.pop(key, None)
        if entry is None:
            return
        entry.gone = True
        self._growing -= entry.growing
        if entry.sending:
            self._leaving.append(entry)
        else:
            await entry.close()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(0.5, self.idle / 2))
            now = loop.time()
            resting = [e for e in self.blobs.values() if e.used < now - self.idle and e.sending == e.lagging]
            for entry in [*resting, *(e for e in self._leaving if e.sending == e.lagging)]:
                entry.rest()
            unused = [e for e in resting if not e.sending]
            for entry in [e for e in unused if e.growing] + [e for e in self.blobs.values() if e.has_grown]:
                await self._let_go(entry.key)
            crowded = len(self.blobs) > self.most * 7 // 8
            before = now - (self.crowded_for if crowded else self.open_for)
            for entry in [e for e in unused if e.used < before]:
                await self._let_go(entry.key)
            done = [e for e in self._leaving if not e.sending]
            self._leaving = [e for e in self._leaving if e.sending]
            for entry in done:
                await entry.close()


def _cost(key: bytes, entry: HotManifest) -> int:
    return entry.size + len(key) + 1024
