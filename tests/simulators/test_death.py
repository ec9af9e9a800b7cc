"""Children that die at write points may have children of their own."""

from __future__ import annotations

from registry_mesh.stores import points
from tests.simulators.death import run_and_die


async def step() -> None:
    points.reach("step")


def test_a_child_begins_children() -> None:
    async def beside() -> None:
        assert run_and_die(step, 1) == ["step"]
        await step()

    assert run_and_die(beside, 0) == ["step"]
