"""What a stream tells of how fast its source is."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.rivals import NoRivals, Patience
from registry_mesh.content.fill.watch import TICK, PaceWatch
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import SourceSlow
from tests.simulators.played import busy, played


class Noting(NoRivals):
    """Notes what it is told of."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def note(self, source: str, rate: float) -> None:
        self.rates.append(rate)


@pytest.mark.parametrize(("held", "is_busy"), [(False, False), (True, False), (True, True)])
@played
async def test_one_that_was_held_for_long_tells_nothing(held: bool, is_busy: bool) -> None:
    """What had gathered on its way meanwhile came at once: by that, a slow source were the fastest of all."""
    rivals, came, loop = Noting(), 0, asyncio.get_running_loop()
    async with PaceWatch(
        FillPolicy().pace, rivals, "parent", Digest.of(b""), lambda: came, lambda: 8 * MIB
    ) as watch:
        watch.held, began = held, loop.time()
        if is_busy:
            busy(5 * TICK)
        await asyncio.sleep(max(0.0, began + 6.5 * TICK - loop.time()))
        watch.held, came = False, 4 * MIB
    assert bool(rivals.rates) is not held


class Unknown(NoRivals):
    """There is another source, of which nobody knows how fast it is."""

    def __init__(self) -> None:
        self.left: list[float] = []

    def rate(self, source: str, digest: Digest) -> float | None:
        return 0.0

    def patience(self, source: str) -> Patience:
        return Patience(hush=3 * TICK)

    def outdone(self, source: str, rate: float) -> None:
        self.left.append(rate)


async def waited_for(rivals: NoRivals, came: int, *, ticks: int, whole: int = 8 * MIB) -> None:
    """A stream that brings so much at once and then nothing."""
    now = 0
    async with PaceWatch(
        FillPolicy().pace, rivals, "parent", Digest.of(b""), lambda: now, lambda: whole
    ) as watch:
        watch.waiting, now = True, came
        await asyncio.sleep(ticks * TICK)


@pytest.mark.parametrize("came", [0, 100])
@pytest.mark.parametrize("whole", [64 << 10, 8 * MIB])
@played
async def test_one_that_begins_with_next_to_nothing_is_left_early(came: int, whole: int) -> None:
    rivals = Unknown()
    with pytest.raises(SourceSlow):
        await waited_for(rivals, came, ticks=200, whole=whole)
    assert len(rivals.left) == 1


@played
async def test_one_that_begins_well_is_not() -> None:
    rivals = Unknown()
    await waited_for(rivals, MIB, ticks=8)
    assert not rivals.left


@played
async def test_one_that_is_alone_is_not() -> None:
    await waited_for(NoRivals(), 0, ticks=8)
