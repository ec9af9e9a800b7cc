"""A body that stands still is cut off; one that nobody waits for is not."""

from __future__ import annotations

import asyncio

from registry_mesh.upstream.health.stall import Stall
from tests.simulators.played import played
from tests.simulators.sender import Parent


@played
async def test_what_is_waited_for_in_vain_is_cut_once() -> None:
    cuts: list[bool] = []
    with Stall(Parent(0.04), lambda: cuts.append(True)) as stall:
        stall.wait()
        await asyncio.sleep(0.2)
    assert cuts == [True]
    assert stall.stalled


@played
async def test_who_cannot_take_more_does_not_wait() -> None:
    cuts: list[bool] = []
    with Stall(Parent(0.02), lambda: cuts.append(True)) as stall:
        stall.wait()
        stall.came(1)
        await asyncio.sleep(0.2)
    assert not cuts
    assert not stall.stalled


@played
async def test_nothing_is_cut_after_the_end() -> None:
    cuts: list[bool] = []
    with Stall(Parent(0.02), lambda: cuts.append(True)) as stall:
        stall.wait()
    await asyncio.sleep(0.1)
    assert not cuts


@played
async def test_a_drip_is_cut_off_and_named() -> None:
    cuts: list[bool] = []
    with Stall(Parent(60, drip=0.05), lambda: cuts.append(True)) as stall:
        stall._pause = 0.01  # its looks follow from the 60 s
        stall._look()
        async with asyncio.timeout(10):
            while not cuts:
                stall.wait()
                await asyncio.sleep(0.002)
                if not cuts:
                    stall.came(1)
                stall.wait()
    assert cuts == [True] and stall.slow
    assert "next to nothing" in stall.failure().reason


@played
async def test_much_in_small_pieces_is_no_drip() -> None:
    cuts: list[bool] = []
    with Stall(Parent(0.2, drip=0.1), lambda: cuts.append(True)) as stall:
        for _ in range(100):
            stall.wait()
            await asyncio.sleep(0.005)
            stall.came(1000)
    assert not cuts
