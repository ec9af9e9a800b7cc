"""What a transfer tells of the bytes that it stores."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.sums import ChunkSum
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.transfer import Transfer
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import StoreFull
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern

CHUNKS = 8
DATA = pattern(CHUNKS * CHUNK, 11)
DIGEST = Digest.of(DATA)
NEVER_DUE = 3600.0


async def wanted(transfer: Transfer) -> bool:
    return True


class Told:
    """The chunks that were told of, each time."""

    def __init__(self) -> None:
        self.runs: list[range] = []

    def __call__(self, index: int, sums: Sequence[ChunkSum | None], source: str) -> int:
        self.runs.append(range(index, index + len(sums)))
        return len(sums)


@pytest.mark.parametrize("room", [3, CHUNKS])
async def test_all_that_was_stored_is_told_of_once_however_it_ended(room: int) -> None:
    source, told = SimulatedSource(direct=True, piece=len(DATA)), Told()
    source.add(DATA)
    via = Via("a", source, lambda *_: None)
    async with MemoryStore(quota=room * CHUNK).hold(DIGEST, len(DATA)) as hold:
        state = FillState(hold, FillPolicy(batch=CHUNK, wake=NEVER_DUE))
        transfer = Transfer(state, via, range(CHUNKS), wanted, told)
        if room < CHUNKS:
            with pytest.raises(StoreFull):
                await transfer.run()
        else:
            await transfer.run()
    assert told.runs == [range(room)], "no reader was due before"
    assert transfer.position == room * CHUNK
