"""Parents so far away that a ping takes them for dead: they are found all the same."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.chunks.chunk_map import MIB
from tests.eventually import eventually
from tests.mesh.test_hung_parents import lives as lives
from tests.mesh.test_two_parents import TwoParents
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow


async def test_parents_so_far_away_that_they_look_dead_are_found(lives: list[TwoParents]) -> None:
    """1.6 s to an answer on a new connection: longer than a ping may take at first."""
    world = lives[0]
    for link in (world.link, world.honest):
        link.conditions.rtt = 0.8
    digests = [world.parent.add(pattern(MIB, seed=seed)) for seed in range(8)]
    await world.start()
    await eventually(
        lambda: world.get(world.blob(digests[0])),
        "parents far away",
        seconds=60,
        pause=0.05,
        until=lambda answer: answer[0] == 200,
    )

    async def all_served() -> bool:
        answers = await asyncio.gather(*(world.get(world.blob(each)) for each in digests))
        return all(status == 200 for status, _ in answers)

    await eventually(all_served, "the other process to find out, too", 60, 0.05)
