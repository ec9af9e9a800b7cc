"""A parent that is no use, though it sends: what came of it is kept, and another one goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.copy_by_fill import CopyByFill
from registry_mesh.content.snapshot.copying.copy_keys import Bring
from registry_mesh.content.snapshot.copying.flow import Flow, Grant, PacedBlobs, Spending
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import SourceSlow, SourceUnavailable
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.liveness import Patience
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.eventually import eventually
from tests.simulators.bare import listening
from tests.simulators.images import LAYER
from tests.simulators.parent import PlainParent, plain_parent
from tests.simulators.slow import SlowRegistry
from tests.simulators.upstream import PATIENT
from tests.suites.bytes_of import pattern, read

DATA = pattern(6 * MIB, seed=7)
DIGEST = Digest.of(DATA)
NAME = RegistryName("r.example")
SLOW = replace(PATIENT, drip=0.5, stall=0.4)
DRIPS_HEAD = replace(SLOW, head=1.0)


class World:
    """A cache before several parents, each a group of its own."""

    def __init__(self, stack: AsyncExitStack, store: DiskStore) -> None:
        self.stack, self._store = stack, store

    async def slow(self, registry: SlowRegistry) -> SlowRegistry:
        return await self.stack.enter_async_context(listening(registry))

    async def good(self) -> PlainParent:
        parent = await self.stack.enter_async_context(plain_parent())
        parent.add(DATA)
        return parent

    async def _parents(
        self, urls: Sequence[str], patience: Patience
    ) -> tuple[FailoverRegistry, Distrusted, Fills]:
        """The first has `patience`, the others have more."""
        client = await self.stack.enter_async_context(open_session())
        distrusted = Distrusted()
        given = [patience, *[PATIENT] * (len(urls) - 1)]
        sessions = [
            ParentSession(client, url, None, each, ns="never") for url, each in zip(urls, given, strict=True)
        ]
        parents = FailoverRegistry(NAME, [[UpstreamRegistry(each, NAME)] for each in sessions], distrusted)
        fills = Fills(self._store)
        self.stack.push_async_callback(fills.close)
        return parents, distrusted, fills

    async def before(self, *urls: str, patience: Patience = SLOW) -> PullThrough:
        parents, distrusted, fills = await self._parents(urls, patience)
        source = parents.repository(RepositoryName("team/app")).blobs
        return PullThrough(
            self._store, source, fills, distrusted.note, doubt=distrusted.doubt, rivals=parents.rivals
        )

    async def copy(
        self, data: bytes, *urls: str, bytes_a_second: float | None = None, whole: bool = False
    ) -> None:
        """As a run of a replica does, which may have a budget; `whole`: into a store that takes blobs as a whole."""
        parents, distrusted, fills = await self._parents(urls, PATIENT)
        bring: Bring = CopyByFill(
            self._store, fills, distrusted.note, distrusted.doubt, lambda _: parents.rivals
        )
        if whole:
            bring = CopyByIngest(self._store, distrusted.note, lambda _: parents.rivals)
        blobs: BlobSource = parents.repository(RepositoryName("team/app")).blobs
        if bytes_a_second is not None:
            grant = Grant(bytes_a_second, asyncio.get_running_loop().time, asyncio.sleep)
            flow = Flow(Spending([], grant, MemoryStore().records, time.time))
            blobs = PacedBlobs(blobs, lambda: flow)
        offer = Offer(blobs, NAME, paced=bytes_a_second is not None)
        async with asyncio.timeout(60):
            await bring(offer, Descriptor(LAYER, Digest.of(data), len(data)), lambda size: None)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        store = await DiskStore.start(tmp_path / "store")
        stack.push_async_callback(store.close)
        yield World(stack, store)


async def pull(through: PullThrough) -> bool:
    async with asyncio.timeout(60):
        return await read(through, DIGEST) == DATA


@pytest.mark.parametrize(
    ("slow", "patience"),
    [
        (SlowRegistry(DATA), SLOW),
        (SlowRegistry(DATA, drips_head=True), DRIPS_HEAD),
        (SlowRegistry(DATA, most=1000, step=1000, pause=0), SLOW),
        (SlowRegistry(DATA, most=0, step=30), SLOW),
    ],
    ids=["drips", "drips its head", "1 kB a connection", "600 B/s"],
)
async def test_another_parent_goes_on(world: World, slow: SlowRegistry, patience: Patience) -> None:
    await world.slow(slow)
    good = await world.good()
    assert await pull(await world.before(slow.url, good.url, patience=patience))
    assert 1 <= slow.asked <= 2, "it is asked after the others from then on"
    assert slow.sent < CHUNK
    assert len([path for _, path in good.requests if "/blobs/" in path]) <= 4


async def test_the_next_blob_is_not_asked_of_it(world: World) -> None:
    slow, good = await world.slow(SlowRegistry(DATA)), await world.good()
    other = pattern(MIB, seed=9)
    good.add(other)
    through = await world.before(slow.url, good.url)
    assert await pull(through)
    asked = slow.asked
    async with asyncio.timeout(60):
        assert await read(through, Digest.of(other)) == other
    assert slow.asked == asked


async def test_alone_it_is_a_failure_that_says_so_in_a_bounded_time(world: World) -> None:
    slow = await world.slow(SlowRegistry(DATA))
    through = await world.before(slow.url)
    with pytest.raises(SourceUnavailable, match="sends next to nothing"):
        await pull(through)
    assert slow.asked <= 5


async def test_what_is_slow_and_alone_and_no_drip_is_waited_for(world: World) -> None:
    slow = await world.slow(SlowRegistry(DATA, step=MIB, pause=0.2))
    assert await pull(await world.before(slow.url, patience=replace(SLOW, stall=30)))
    assert slow.asked == 1


async def test_a_small_body_that_drips_is_cut_off(world: World) -> None:
    """As a manifest."""
    slow = await world.slow(SlowRegistry(b"{}" * 200))
    client = await world.stack.enter_async_context(open_session())
    session = ParentSession(client, slow.url, None, SLOW, ns="never")
    with pytest.raises(SourceSlow):
        async with session.request("GET", "/v2/team/app/blobs/x", scope="") as answer:
            await answer.body(1000)


BLOBS = [pattern(6 * MIB, seed=seed) for seed in range(20, 23)]
HELD = {str(Digest.of(blob)): blob for blob in BLOBS}


@pytest.mark.parametrize(
    ("slow", "most_asked"),
    [
        ({"step": 100, "pause": 0.1}, 1),
        ({"step": 5_000, "pause": 0.1}, 1),
        ({"step": 25_000, "pause": 0.05}, 1),
        ({"step": 1, "pause": 3600.0}, 1),
        ({"step": 1_000, "pause": 0.0, "most": 1_000}, 3),
        ({"step": MIB, "pause": 0.01, "resets": 3, "reset_after": 100_000}, 4),
    ],
    ids=["1 kB/s", "50 kB/s", "500 kB/s", "sends nothing", "1 kB a connection", "resets every third"],
)
async def test_slow_beside_good(world: World, slow: dict[str, float], most_asked: int) -> None:
    """The first pull finds out, the next ones do not ask it; every byte is moved once."""
    bad = await world.slow(SlowRegistry(blobs=HELD, **slow))  # type: ignore[arg-type]
    good = await world.slow(SlowRegistry(blobs=HELD, step=MIB, pause=0.01))
    through = await world.before(bad.url, good.url, patience=replace(PATIENT, stall=3600, drip=3600))
    async with asyncio.timeout(60):  # as a drip it is never given up
        for blob in BLOBS:
            assert await read(through, Digest.of(blob)) == blob
    assert bad.asked <= most_asked
    assert good.asked <= len(BLOBS) + 1
    assert bad.sent + good.sent <= 1.02 * sum(map(len, BLOBS))


@pytest.mark.parametrize("whole", [False, True], ids=["in part", "whole"])
async def test_a_run_of_a_replica_leaves_it_too(world: World, whole: bool) -> None:
    bad = await world.slow(SlowRegistry(DATA, step=5_000, pause=0.1))
    good = await world.slow(SlowRegistry(DATA, step=MIB, pause=0))
    await world.copy(DATA, bad.url, good.url, whole=whole)
    assert bad.asked == good.asked == 1
    assert bad.sent + good.sent <= 1.02 * len(DATA)


@pytest.mark.parametrize("whole", [False, True], ids=["in part", "whole"])
async def test_a_parent_is_not_slow_for_the_budget_of_a_run(world: World, whole: bool) -> None:
    data = DATA[: 3 * MIB // 2]
    first, second = [await world.slow(SlowRegistry(data, step=MIB, pause=0)) for _ in range(2)]
    await world.copy(data, first.url, second.url, bytes_a_second=500_000, whole=whole)
    assert (first.asked, second.asked) == (1, 0)


async def test_where_the_other_lacks_the_blob_the_slow_one_is_waited_for(world: World) -> None:
    """It is left once, until the other has said so. Before that it sends for as long as its head may have been late by
    a pause of the machine, and then all at once."""
    async with plain_parent() as other:
        slow = await world.slow(SlowRegistry(DATA, step=10_000, pause=0.1))
        through = await world.before(slow.url, f"http://127.0.0.1:{other.port}", patience=PATIENT)
        pulling = asyncio.create_task(pull(through))
        await eventually(lambda: slow.asked == 2, "it to be left, and asked again")
        slow.pause = 0.0
        assert await pulling
    assert slow.asked == 2
    assert slow.sent <= 1.2 * len(DATA)
