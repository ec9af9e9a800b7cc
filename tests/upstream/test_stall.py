"""A body that stands still is cut off; one that nobody waits for is not."""

from __future__ import annotations

import asyncio

from registry_mesh.upstream.stall import Stall


async def test_what_is_waited_for_in_vain_is_cut_once() -> None:
    cuts: list[bool] = []
    with Stall(0.04, lambda: cuts.append(True)) as stall:
        stall.wait()
        async with asyncio.timeout(10):
            while not cuts:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    assert cuts == [True]
    assert stall.stalled


async def test_who_cannot_take_more_does_not_wait() -> None:
    cuts: list[bool] = []
    with Stall(0.02, lambda: cuts.append(True)) as stall:
        stall.wait()
        stall.came()
        await asyncio.sleep(0.2)
    assert not cuts
    assert not stall.stalled


async def test_nothing_is_cut_after_the_end() -> None:
    cuts: list[bool] = []
    with Stall(0.02, lambda: cuts.append(True)) as stall:
        stall.wait()
    await asyncio.sleep(0.1)
    assert not cuts
