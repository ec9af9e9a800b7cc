"""What moves at a site of two processes, as `top` shows it: a fill over a slow link, and those who read it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from registry_mesh.chunks.chunk_map import MIB
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink

pytestmark = pytest.mark.slow

SLOWLY = 4e5
"""Bytes a second: a fill takes far longer than a busy machine stands still."""


async def test_a_fill_and_its_readers_are_told_of_until_they_end(behind_link: SiteBehindLink) -> None:
    world = behind_link
    data = random.Random(1).randbytes(6 * MIB)
    digest = world.parent.add(data)
    world.parent.add_image("big", random.Random(2).randbytes(4 * MIB))
    await world.start()
    world.link.conditions.rate = SLOWLY
    told: dict[str, Any] = {}

    async def moving() -> bool:
        async with world.client.get(f"{world.node.admin}/api/1/fills") as answer:
            assert answer.status == 200, await answer.text()
            told.update(await answer.json())
        fills, readers = told["fills"], told["readers"]
        known = ("held", "bytes_per_second", "whole_readers")
        return bool(fills and len(readers) == 2 and all(fills[0][each] for each in known))

    reading = [asyncio.create_task(world.get(world.blob(digest))) for _ in range(2)]
    await eventually(moving, lambda: told)
    (fill,) = told["fills"]
    assert (fill["digest"], fill["size"]) == (str(digest), len(data))
    assert fill["held"] < len(data)
    assert fill["places"] == ["registry.example/team/app"]
    assert fill["from"] == [world.link.url.partition("://")[2]]
    assert {(each["client"], each["digest"], each["size"]) for each in told["readers"]} == {
        ("127.0.0.1", str(digest), len(data))
    }
    world.link.conditions.rate = None
    assert all([(await each)[1] == data for each in reading])
    world.link.conditions.rate = SLOWLY
    async with world.client.post(
        f"{world.node.admin}/api/1/images/preload", json={"images": ["team/app:big"]}
    ) as answer:
        assert answer.status == 200
        await eventually(
            lambda: big_comes(world), "the preload's layer among the fills, and the image's mark"
        )
        world.link.conditions.rate = None
        await answer.read()
    await eventually(lambda: ended(world), "nothing moves")


async def big_comes(world: SiteBehindLink) -> bool:
    """Also what the keeper brings is told of, and marks the image it belongs to."""
    async with world.client.get(f"{world.node.admin}/api/1/fills") as answer:
        fills = (await answer.json())["fills"]
    async with world.client.get(f"{world.node.admin}/api/1/images") as answer:
        images = (await answer.json())["images"]
    return bool(fills) and any(each["coming"] and each["tag"] == "big" for each in images)


async def ended(world: SiteBehindLink) -> bool:
    async with world.client.get(f"{world.node.admin}/api/1/fills") as answer:
        told = await answer.json()
    return not told["fills"] and not told["readers"]
