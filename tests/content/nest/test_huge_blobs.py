"""An image of 76 GB, one of whose layers has 64 GiB: in part, on a disk that could not hold it."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest_asyncio

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.pieces import in_memory
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.eventually import eventually
from tests.simulators.bare import listening
from tests.simulators.endless import EndlessRegistry, bytes_at

LAYER, OTHER = Digest.of(b"a layer of 64 GiB"), Digest.of(b"the rest of 76 GB")
SIZES = {LAYER: 64 << 30, OTHER: 76_000_000_000 - (64 << 30)}
QUOTA = 96 * MIB
MEMORY = 128 * MIB


class Site:
    """A cache on a small disk, which may be started again."""

    def __init__(self, folder: Path, parent: EndlessRegistry) -> None:
        self._folder, self.parent = folder, parent
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        name, stack = RegistryName("r.example"), self._stack
        self.store = await DiskStore.start(self._folder, quota=QUOTA, evict=True, fsync=DiskFsync.NEVER)
        stack.push_async_callback(self.store.close)
        client = await stack.enter_async_context(open_session())
        fills, distrusted = Fills(self.store), Distrusted()
        stack.push_async_callback(fills.close)
        offer = UpstreamRegistry(ParentSession(client, self.parent.url, None, ns="never"), name)
        parents = FailoverRegistry(name, [[offer]], distrusted)
        source = parents.repository(RepositoryName("team/app")).blobs
        self.blobs = PullThrough(self.store, source, fills, distrusted.note, rivals=parents.rivals)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def read(self, digest: Digest, start: int, stop: int) -> None:
        """Read a range; every byte is right."""
        async with self.blobs.open(digest, Span(start, stop)) as reading:
            position = start
            async for data in in_memory(reading):
                assert data == bytes_at(digest, position, position + len(data)), position
                position += len(data)
            assert position == stop

    async def begin(self, digest: Digest, stop: int) -> None:
        """A whole pull that is left at `stop`."""
        async with self.blobs.open(digest) as reading, aclosing(in_memory(reading)) as pieces:  # type: ignore[type-var]
            position = 0
            async for data in pieces:
                position += len(data)
                if position >= stop:
                    return

    async def brought(self) -> tuple[int, int]:
        """How often the parent was asked and what it sent, once no body is on its way: one that was left ends a little
        later."""
        await eventually(lambda: not self.parent.answering, "the parent still sends")
        return self.parent.asked, self.parent.sent

    async def scrubbed(self, digest: Digest) -> int:
        """Bytes that a scrub reads of it; none is rotten."""
        looked = 0
        async for found in self.store.inspection.inspect(digest):
            assert not found.rotten
            looked += found.size
        return looked


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with listening(EndlessRegistry(SIZES)) as parent:
        site = Site(tmp_path / "store", parent)
        await site.start()
        yield site
        await site.stop()


async def test_in_part_ranged_resumed_evicted_and_scrubbed_in_flat_memory(site: Site) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    async with asyncio.timeout(60):
        for digest, size in SIZES.items():
            for eighth in range(8):
                start = size // 8 * eighth + 4321
                await site.read(digest, start, start + (64 << 10))
            await site.read(digest, size - 1000, size)
        assert site.parent.sent <= 18 * (3 * CHUNK + 2 * MIB), "what is read ahead included"

        await site.begin(LAYER, 20 * MIB)
        sent = site.parent.sent
        await site.read(LAYER, 0, 20 * MIB)
        brought = await site.brought()
        assert brought[1] - sent <= 20 * MIB, "what ran ahead"
        await site.read(LAYER, 0, 20 * MIB)
        assert await site.brought() == brought

        await site.stop()
        await site.start()
        await site.read(LAYER, 0, 20 * MIB)
        assert await site.brought() == brought, "held over a restart"
        assert await site.scrubbed(LAYER) >= 20 * MIB
        assert await site.brought() == brought

        await site.read(OTHER, 1 << 30, (1 << 30) + 160 * MIB)
        assert site.store.used <= QUOTA
        await site.read(LAYER, 40 << 30, (40 << 30) + CHUNK)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before <= MEMORY
