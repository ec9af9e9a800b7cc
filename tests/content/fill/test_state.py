"""The phases of a fill: what the table says is what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.content.fill.chunk_proof import ChunkProof
from registry_mesh.content.fill.phases import LeavingChunks, MapPhase, Phase
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SourceLied, StoreBroken, StoreFull
from registry_mesh.ports.partial import ChunkState, Hold
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.source import SimulatedSource

CHUNKS = 3
DATA = bytes(range(256)) * (CHUNK * CHUNKS // 256)
DIGEST = Digest.of(DATA)
ROOT = Path(__file__).resolve().parents[3]


@asynccontextmanager
async def fill_state() -> AsyncIterator[tuple[FillState, Hold]]:
    """A fill's state, and the hold of another process."""
    store = MemoryStore()
    async with store.hold(DIGEST, len(DATA)) as ours, store.hold(DIGEST, len(DATA)) as theirs:
        yield FillState(ours, FillPolicy()), theirs


def via(told: list[str] | None = None, registry: str = "a", **knobs: bool) -> Via:
    """Through a parent that has the blob; what is said of it is appended to `told`."""
    source = SimulatedSource(**knobs)  # type: ignore[arg-type]
    source.add(DATA)
    return Via(registry, source, lambda s, d, r: None if told is None else told.append(r))


async def write(hold: Hold, index: int, state: ChunkState = ChunkState.UNPROVEN) -> None:
    data = [memoryview(DATA)[index * CHUNK : (index + 1) * CHUNK]]
    await hold.write(index * CHUNK, lambda: [data.pop()] if data else (), lambda: None)
    hold.mark(index, state)


async def commit(hold: Hold) -> None:
    if ChunkState.MISSING not in hold.states():
        await hold.commit(None)


STEPS: dict[str, Callable[[FillState, Hold, int], object]] = {
    "write": lambda state, theirs, index: (
        None if theirs.committed or theirs.discarded else write(theirs, index)
    ),
    "rot": lambda state, theirs, index: None if theirs.committed else state.throw_away(index),
    "commit": lambda state, theirs, index: None if theirs.discarded else commit(theirs),
    "discard": lambda state, theirs, index: theirs.discard(),
    "lie": lambda state, theirs, index: state.lie() if state.phase is Phase.WRITTEN else None,
    "full": lambda state, theirs, index: state.cannot_store(StoreFull("no room")),
    "close": lambda state, theirs, index: state.close(),
}


@settings(deadline=None, max_examples=300)
@given(steps=st.lists(st.tuples(st.sampled_from([*["write"] * 6, *STEPS]), st.integers(0, CHUNKS - 1))))
def test_a_phase_follows_only_where_the_table_says(steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        async with fill_state() as (state, theirs):
            before = state.phase
            assert before is Phase.COMING
            for name, index in steps:
                done = STEPS[name](state, theirs, index)
                if asyncio.iscoroutine(done):
                    await done
                after = state.phase
                assert after is before or after.name in before.then, f"{name}: {before} to {after}"
                before = after

    asyncio.run(run())


async def test_what_leaves_is_what_the_table_says() -> None:
    whole = len(DATA)
    async with fill_state() as (state, theirs):
        await write(theirs, 0)
        assert state.phase is Phase.COMING and state.released(5, whole) == CHUNK
        state.map_phase = MapPhase.ASKING
        assert state.released(5, whole) == 5, "not proven, and a map may come"
        state.map_phase = MapPhase.NONE
        await write(theirs, 1)
        await write(theirs, 2)
        assert state.phase is Phase.WRITTEN and state.released(5, whole) == 5, "the whole is not proven"
        state.throw_away(1)
        assert state.phase is Phase.COMING and state.released(5, whole) == CHUNK
        state.cannot_store(StoreFull("no room"))
        assert state.phase.leaves is LeavingChunks.REST and state.released(5, whole) == CHUNK
        assert isinstance(state.trouble("a", state.troubles.epoch), StoreFull)
        state.close()
        assert state.released(5, whole) == 5


@pytest.mark.parametrize("others", [False, True], ids=["here", "elsewhere"])
async def test_nothing_leaves_of_what_is_not_the_blob(others: bool) -> None:
    told: list[str] = []
    async with fill_state() as (state, theirs):
        for index in range(CHUNKS):
            await write(theirs, index)
        state.sources["parent"] = via(told)
        if others:
            await theirs.discard()
        else:
            state.lie()
        assert state.phase is Phase.LIED and state.released(0, len(DATA)) == 0
        assert isinstance(state.trouble("a", state.troubles.epoch), SourceLied)
        assert told == [] if others else ["the bytes do not have the digest asked for"]


async def test_those_that_sent_parts_of_a_lie_are_told_of_together_the_last_one_first() -> None:
    told: list[str] = []

    def distrust(source: str, digest: Digest, reason: str) -> None:
        told.append(source)

    async with fill_state() as (state, theirs):
        for index in range(CHUNKS):
            await write(theirs, index)
        for name in ("early", "late", "early"):
            state.stored(CHUNK, name, Via("a", SimulatedSource(name=name), distrust))
        state.lie()
    assert told == ["late, early"]


async def test_a_failure_is_told_to_who_reads_and_not_to_who_comes_later() -> None:
    async with fill_state() as (state, _):
        early = state.troubles.epoch
        state.troubles.fail(StoreBroken("once"))
        assert isinstance(state.trouble("a", early), StoreBroken)
        assert state.trouble("a", state.troubles.epoch) is None
        assert state.phase is Phase.COMING


class _Unreadable:
    """A hold of a disk that writes and does not read."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hold, name)

    async def feed(self, span: Span, sink: Callable[[memoryview], None]) -> None:
        raise StoreBroken("a bad sector")


async def test_a_failure_of_one_registry_is_nothing_to_readers_of_another() -> None:
    async with fill_state() as (state, _):
        early = state.troubles.epoch
        state.troubles.fail(StoreBroken("denied"), via(registry="a"))
        assert state.trouble("a", early) is not None and state.trouble("b", early) is None
        state.troubles.fail(StoreBroken("the disk"))
        assert state.trouble("a", early) is not None and state.trouble("b", early) is not None


async def test_a_store_that_breaks_while_chunks_are_proven_ends_the_asking() -> None:
    """Nobody waits for ever for what is never going to be known."""
    store = MemoryStore()
    async with store.hold(DIGEST, len(DATA)) as ours, store.hold(DIGEST, len(DATA)) as theirs:
        await write(theirs, 0)
        state = FillState(_Unreadable(ours), FillPolicy())
        proof = ChunkProof(state)
        proof.begin(via(maps=True), range(1), first=True)
        assert state.map_phase is MapPhase.ASKING
        async with asyncio.timeout(60):
            await proof.settled()
        assert state.map_phase is MapPhase.THERE and isinstance(proof.map, ChunkMap)
        assert isinstance(state.trouble("a", 0), StoreBroken)
