"""Several transfers of one fill side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.chunks.sums import ChunkSum
from registry_mesh.content.fill.lanes import LaneShares
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.rivals import NoRivals, Traffic
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.stripes import TransferStripes
from registry_mesh.content.fill.transfer import Transfer
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource

SIZE = 80 * MIB


class Far(NoRivals):
    """Of a parent a tenth of a second away."""

    def traffic(self, source: str) -> Traffic:
        return Traffic(latency=0.1)


@dataclass
class Looks:
    """Counts how many chunks are looked at; all are on their way."""

    count: int = 0

    def __call__(self, index: int) -> bool:
        self.count += 1
        return True


async def wanted(transfer: Transfer) -> bool:
    return True


def written(index: int, summed: ChunkSum | None, source: str) -> None:
    """Nothing is to be done."""


async def test_what_a_crowd_of_readers_waits_for_is_looked_at_once(tmp_path: Path) -> None:
    """A thousand readers at one place: the loop is not to be busy with the same chunks a thousand times."""
    shares, looks = LaneShares(), Looks()
    shares.learn("far", 8, asyncio.get_running_loop().time())
    store = await DiskStore.start(tmp_path)
    async with store.hold(Digest.of(b"large"), SIZE) as hold:
        state = FillState(hold, FillPolicy(), shares=shares)
        via = Via("a", SimulatedSource(), lambda source, digest, reason: None, rivals=Far())
        transfer = Transfer(state, via, range(state.chunks), wanted, written)
        transfer.source = "far"
        stripes = TransferStripes(state, [transfer], looks, lambda chunks, via: False)
        for number in range(1000):
            state.readers.enter(via, Span(number % 7 * CHUNK, SIZE), 0)
        stripes.begin()
        await eventually(lambda: looks.count, "a look at what is coming")
        window = stripes.window // CHUNK
        stripes.close()
    await store.close()
    assert window <= looks.count <= 10 * window
