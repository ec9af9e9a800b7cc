"""Several transfers of one fill side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.chunks.sums import ChunkSum
from registry_mesh.content.fill.lanes import LaneShares
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.rivals import NoRivals, Traffic
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.stripes import FIRST, TransferStripes
from registry_mesh.content.fill.transfer import Transfer
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.urgency import unhurried
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource

SIZE = 80 * MIB


class Far(NoRivals):
    """Of a parent a tenth of a second away."""

    def traffic(self, source: str) -> Traffic:
        return Traffic(distance=0.1)


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


@dataclass
class Fill:
    """One that lacks all, with a transfer to a far parent to which eight lanes helped lately."""

    state: FillState
    via: Via
    running: list[Transfer]

    def transfer(self, chunks: range) -> Transfer:
        made = Transfer(self.state, self.via, chunks, wanted, written)
        made.source = "far"
        return made

    def start(self, chunks: range, via: Via) -> bool:
        self.running.append(self.transfer(chunks))
        return True

    def is_coming(self, index: int) -> bool:
        return any(each.covers(index) for each in self.running)


@asynccontextmanager
async def far_fill(folder: Path, policy: FillPolicy) -> AsyncIterator[Fill]:
    shares = LaneShares()
    shares.learn("far", 8, asyncio.get_running_loop().time())
    store = await DiskStore.start(folder)
    async with store.hold(Digest.of(b"large"), SIZE) as hold:
        state = FillState(hold, policy, shares=shares)
        via = Via("a", SimulatedSource(), lambda source, digest, reason: None, rivals=Far())
        fill = Fill(state, via, [])
        fill.start(range(state.chunks), via)
        yield fill
    await store.close()


async def test_what_a_crowd_of_readers_waits_for_is_looked_at_once(tmp_path: Path) -> None:
    """A thousand readers at one place: the loop is not to be busy with the same chunks a thousand times."""
    looks = Looks()
    async with far_fill(tmp_path, FillPolicy()) as fill:
        stripes = TransferStripes(fill.state, fill.running, looks, fill.start)
        for number in range(1000):
            fill.state.readers.enter(fill.via, Span(number % 7 * CHUNK, SIZE), 0)
        stripes.begin(fill.via)
        await eventually(lambda: looks.count, "a look at what is coming")
        window = stripes.window // CHUNK
        stripes.close()
    assert window <= looks.count <= 10 * window


@pytest.mark.parametrize(("streams", "lanes"), [(3, 3), (64, 8)])
async def test_no_more_are_begun_than_a_fill_may_have(tmp_path: Path, streams: int, lanes: int) -> None:
    async with far_fill(tmp_path, FillPolicy(streams=streams)) as fill:
        stripes = TransferStripes(fill.state, fill.running, fill.is_coming, fill.start)
        fill.state.readers.enter(fill.via, Span(0, SIZE), 0)
        stripes.begin(fill.via)
        await eventually(lambda: len(fill.running) > 1, "lanes")
        stripes.close()
    assert len(fill.running) == lanes


async def test_a_stream_that_makes_way_is_not_cut_for_others(tmp_path: Path) -> None:
    """All that its connection holds by then would come again."""

    class Busy(Far):
        def busy(self, source: str) -> bool:
            return True

    async with far_fill(tmp_path, FillPolicy()) as fill:
        stripes = TransferStripes(fill.state, fill.running, fill.is_coming, fill.start)
        fill.state.readers.enter(fill.via, Span(0, SIZE), 0)
        whole = fill.running.pop().chunks
        with unhurried():
            stream = fill.transfer(whole)
        fill.running.append(stream)
        assert stream.step_back.waits(Busy())
        stripes.begin(fill.via)
        await asyncio.sleep(2 * FIRST)
        assert fill.running == [stream] and stream.chunks == whole
        stream.urgency.hurry()
        assert not stream.step_back.waits(Busy())
        await eventually(lambda: len(fill.running) == 8, "other streams beside it")
        stripes.close()
