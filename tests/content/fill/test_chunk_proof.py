"""What is taken at once of chunks that came one after the other."""

from __future__ import annotations

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.sums import NEWEST, ChunkSum
from registry_mesh.content.fill.chunk_proof import ChunkProof
from registry_mesh.content.fill.phases import MapPhase
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.state import FillState
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import SourceLied
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.memory.store import MemoryStore
from tests.suites.bytes_of import pattern
from tests.suites.maps_of import map_of

DATA = pattern(4 * CHUNK + 100, 3)
DIGEST = Digest.of(DATA)
SUMS = [ChunkSum(NEWEST, NEWEST.of(DATA[start : start + CHUNK])) for start in range(0, len(DATA), CHUNK)]
WRONG = ChunkSum(NEWEST, NEWEST.of(b"something else"))
MISSING, UNPROVEN, PROVEN = ChunkState


async def test_of_a_run_that_is_wrong_within_all_others_are_kept() -> None:
    sums: list[ChunkSum | None] = [*SUMS[:2], WRONG, *SUMS[3:]]
    async with MemoryStore().hold(DIGEST, len(DATA)) as hold:
        state = FillState(hold, FillPolicy())
        proof = ChunkProof(state)
        proof.map, state.map_phase = map_of(DATA), MapPhase.THERE
        assert proof.take(0, sums, "parent") == 2
        with pytest.raises(SourceLied, match="chunk 2 does not fit"):
            proof.take(2, sums[2:], "parent")
        assert proof.take(3, sums[3:], "parent") == 2
        assert list(hold.states()) == [PROVEN, PROVEN, MISSING, PROVEN, PROVEN]
        assert hold.doubted, "no second parent was asked about the map"


async def test_what_no_map_proves_is_taken_whole() -> None:
    async with MemoryStore().hold(DIGEST, len(DATA)) as hold:
        state = FillState(hold, FillPolicy())
        state.map_phase = MapPhase.NONE
        assert ChunkProof(state).take(1, SUMS[1:4], "parent") == 3
        assert list(hold.states()) == [MISSING, UNPROVEN, UNPROVEN, UNPROVEN, MISSING]


async def test_what_comes_before_its_map_is_left_unmarked() -> None:
    async with MemoryStore().hold(DIGEST, len(DATA)) as hold:
        state = FillState(hold, FillPolicy())
        proof, state.map_phase = ChunkProof(state), MapPhase.ASKING
        for index in range(2):
            assert proof.take(index, SUMS[index:], "parent") == 1
        assert list(proof.early) == [0, 1] and not any(hold.states())
