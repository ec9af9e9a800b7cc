"""A crowd at a blob that nobody has yet, over a link as slow as most: right bytes, each over the link once."""

from __future__ import annotations

import asyncio
import random

import pytest

from registry_mesh.chunks.chunk_map import MIB
from tests.mesh.conftest import same
from tests.mesh.test_cold_blobs import Cold, world  # noqa: F401  # a fixture
from tests.simulators.pauses import steady

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@steady
async def test_two_hundred_readers_of_all_kinds(world: Cold) -> None:  # noqa: F811
    size = 32 * MIB + 77
    digest, whole = await world.add(size)
    await world.start()
    world.link.conditions.rtt = 0.02
    world.link.conditions.rate = 30e6
    world.link.reset_counts()
    rng = random.Random(7)

    async def reader(index: int) -> None:
        if index % 4 == 0:
            async with world.client.get(world.blob(digest)) as answer:
                assert answer.status == 200
                position = 0
                async for data in answer.content.iter_any():
                    assert data == whole[position : position + len(data)], "a wrong byte"
                    position += len(data)
                assert position == size
            return
        start = rng.randrange(size)
        stop = min(size, start + rng.randrange(64 << 10, 8 * MIB))
        await asyncio.sleep(rng.random())
        assert same(await world.get(world.blob(digest), (start, stop)), 206, whole[start:stop])

    await asyncio.gather(*(reader(index) for index in range(200)))
    await world.settled()
    print(
        f"\n200 readers: {world.moved} bytes for {size} ({world.moved / size:.4f}), {len(world.asked())} requests"
    )
    assert world.moved <= 1.01 * size
