"""One blob through several registries: each reader is served by its own registry's parents."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.place import Place
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import read


def through(fills: Fills, store: MemoryStore, source: SimulatedSource, registry: str) -> PullThrough:
    return PullThrough(store, source, fills, place=Place(RegistryName(registry), RepositoryName("a")))


@pytest.mark.parametrize("size", [1000, 5 * CHUNK + 7])
@pytest.mark.parametrize("maps", [False, True])
async def test_a_parent_that_hangs_is_nothing_to_readers_of_another_registry(size: int, maps: bool) -> None:
    data = bytes(range(250)) * (size // 250 + 1)
    store, hung = MemoryStore(), SimulatedSource(name="hung", gate=asyncio.Event(), maps=maps)
    healthy = SimulatedSource(name="healthy", maps=maps)
    digest = hung.add(data)
    assert healthy.add(data) == digest
    fills = Fills(store, FillPolicy(silence=0.1))
    try:
        waits = asyncio.ensure_future(read(through(fills, store, hung, "a.test"), digest))
        async with asyncio.timeout(60):
            while not hung.opened:
                await asyncio.sleep(0)
            assert await read(through(fills, store, healthy, "b.test"), digest) == data
            assert await waits == data, "what is here is everybody's"
        assert hung.sent == 0
    finally:
        await fills.close()


async def test_what_one_registry_lacks_is_no_answer_of_another() -> None:
    data = b"x" * 3 * CHUNK
    store, lacks, has = MemoryStore(), SimulatedSource(name="lacks", down=True), SimulatedSource(name="has")
    digest = has.add(data)
    fills = Fills(store, FillPolicy())
    try:
        answers = await asyncio.gather(
            read(through(fills, store, lacks, "a.test"), digest),
            read(through(fills, store, has, "b.test"), digest),
            return_exceptions=True,
        )
        assert answers[1] == data
    finally:
        await fills.close()
    assert (await store.stat(Digest.of(data))).size == len(data)
