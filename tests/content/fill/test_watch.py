"""What a stream tells of how fast its source is."""

from __future__ import annotations

import asyncio
import time

import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.rivals import NoRivals
from registry_mesh.content.fill.watch import TICK, PaceWatch
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually


class Noting(NoRivals):
    """Notes what it is told of."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def note(self, source: str, rate: float) -> None:
        self.rates.append(rate)


@pytest.mark.parametrize(("held", "is_busy"), [(False, False), (True, False), (True, True)])
async def test_one_that_was_held_for_long_tells_nothing(held: bool, is_busy: bool) -> None:
    """What had gathered on its way meanwhile came at once: by that, a slow source were the fastest of all."""
    rivals, came, loop = Noting(), 0, asyncio.get_running_loop()
    async with PaceWatch(
        FillPolicy().pace, rivals, "parent", Digest.of(b""), lambda: came, lambda: 8 * MIB
    ) as watch:
        watch.held, began = held, loop.time()
        if is_busy:
            time.sleep(5 * TICK)  # what else the loop does
        await eventually(lambda: loop.time() - began > 6 * TICK)
        watch.held, came = False, 4 * MIB
    assert bool(rivals.rates) is not held
