"""A parent on a long way, where each connection is slow for itself; and one that is near."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.lanes import LanePolicy
from registry_mesh.content.fill.rivals import Rivals
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.eventually import eventually
from tests.simulators.images import HOST, LAYER
from tests.simulators.link import Conditions, Link
from tests.simulators.parent import plain_parent
from tests.simulators.pauses import watched
from tests.suites.bytes_of import pattern, read

SIZE = 10 * MIB
RATE = 2e6
FAR = Conditions(rtt=0.04, rate_each=RATE)
ALONE = SIZE / RATE
"""Seconds that one connection takes at its best."""

BLOBS = [pattern(SIZE, seed=seed) for seed in (31, 32)]


class Way:
    """A cache, or a replica whose store takes blobs as a whole, and a link to its parent."""

    def __init__(self, link: Link, through: PullThrough, source: BlobSource, rivals: Rivals) -> None:
        self.link = link
        self.through = through
        self.source, self.rivals = source, rivals
        self.store = MemoryStore()
        self.bring = CopyByIngest(self.store, rivals=lambda _: rivals)

    async def is_near(self) -> bool:
        """Ask it something; whether it looks near."""
        name = (await self.source.stat(Digest.of(BLOBS[1]))).provenance.source
        return 0 < self.rivals.traffic(name).distance < LanePolicy().far / 2

    @property
    def moved(self) -> int:
        """Bytes that crossed the link, but for answers to pings."""
        return self.link.counts.body_bytes - self.link.counts.ping_bytes

    async def pull(self, blob: bytes) -> float:
        """Seconds. The link counts this one alone."""
        self.link.reset_counts()
        began = time.monotonic()
        async with asyncio.timeout(60):
            assert await read(self.through, Digest.of(blob)) == blob
        return time.monotonic() - began

    async def copy(self, blob: bytes) -> float:
        """The same, into a store that takes bytes in order."""
        self.link.reset_counts()
        began, wanted = time.monotonic(), Descriptor(LAYER, Digest.of(blob), len(blob))
        moved: list[int] = []
        async with asyncio.timeout(60):
            await self.bring(Offer(self.source, HOST), wanted, moved.append)
        assert await read(self.store, wanted.digest) == blob
        assert sum(moved) == len(blob)
        return time.monotonic() - began


@asynccontextmanager
async def way_to_a_parent(folder: Path, conditions: Conditions) -> AsyncIterator[Way]:
    name = RegistryName("r.example")
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(plain_parent())
        for blob in BLOBS:
            parent.add(blob)
        link = await stack.enter_async_context(Link("127.0.0.1", parent.port, conditions))
        store = await DiskStore.start(folder)
        stack.push_async_callback(store.close)
        client = await stack.enter_async_context(open_session())
        fills = Fills(store)
        stack.push_async_callback(fills.close)
        distrusted = Distrusted()
        offer = UpstreamRegistry(ParentSession(client, link.url, None, ns="never"), name)
        parents = FailoverRegistry(name, [[offer]], distrusted)
        source = parents.repository(RepositoryName("team/app")).blobs
        through = PullThrough(store, source, fills, distrusted.note, rivals=parents.rivals)
        yield Way(link, through, source, parents.rivals)


async def undisturbed(
    folder: Path, conditions: Conditions, brought: Callable[[Way], Awaitable[None]]
) -> None:
    """Bring blobs over a new way. Streams are compared by their rates: where a pause of the machine made one look slow,
    it is done once more, four times at most."""
    async with watched() as pauses:
        for number in range(5):
            began = time.monotonic()
            async with way_to_a_parent(folder / str(number), conditions) as way:
                try:
                    await brought(way)
                    return
                except AssertionError:
                    if number == 4 or not pauses.stood_since(began):
                        raise


def _asked(way: Way) -> list[str]:
    """The requests for blobs that went over the link."""
    return [each.method for each in way.link.counts.passed if "/blobs/" in each.target]


async def brought_by_several(way: Way, bring: Callable[[bytes], Awaitable[float]]) -> None:
    """More and more of them; the next blob begins with what was found. What that gains is printed, and measured by
    `loadtests.site.long_link`."""
    first = await bring(BLOBS[0])
    assert way.link.counts.connections >= 4
    assert way.moved <= 1.05 * SIZE
    second = await bring(BLOBS[1])
    assert way.moved == SIZE, "no stream is cut where it is known how many help"
    assert len(_asked(way)) >= 4
    print(f"\nof what one connection takes: {first / ALONE:.2f}, then {second / ALONE:.2f}")


async def test_several_connections_bring_what_one_does_not(tmp_path: Path) -> None:
    await undisturbed(tmp_path, FAR, lambda way: brought_by_several(way, way.pull))


async def test_so_do_they_for_a_replica_on_a_bucket(tmp_path: Path) -> None:
    await undisturbed(tmp_path, FAR, lambda way: brought_by_several(way, way.copy))


async def test_a_near_parent_is_asked_once(tmp_path: Path) -> None:
    async def by_one_request(way: Way) -> None:
        await eventually(way.is_near, "one quick answer")
        for blob in BLOBS:
            await way.pull(blob)
            assert _asked(way) == ["GET"]
            assert way.moved == SIZE

    await undisturbed(tmp_path, Conditions(rate_each=8e6), by_one_request)


async def test_so_is_one_that_is_late_for_a_while(tmp_path: Path) -> None:
    """As parents and nodes are under load: it is near all the same."""

    async def by_one_request(way: Way) -> None:
        await eventually(way.is_near, "one quick answer")
        way.link.conditions.rtt, way.link.conditions.rate_each = 0.1, RATE
        await way.pull(BLOBS[0])
        assert _asked(way) == ["GET"]
        assert way.moved == SIZE

    await undisturbed(tmp_path, Conditions(), by_one_request)
