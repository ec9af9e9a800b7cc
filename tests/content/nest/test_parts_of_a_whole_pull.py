"""Ranges of a blob of which a whole pull is under way, from a parent whose chunk map fits its lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.sums import SumAlgorithm
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.content.nest.parent_rivals import ParentRivals
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import Failure
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from tests.content.nest.test_failover import candidate
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern, read

DATA = pattern(9 * CHUNK + 77)
DIGEST = Digest.of(DATA)
LIE = CHUNK + 5
HERE = 5 * CHUNK
"""Bytes of a whole pull that have come when a part is asked for."""
PART = Span(CHUNK - 100, LIE + 100)


class Pulls:
    """Two processes over one store: of each one a pull-through behind a liar, asked first, and an honest parent."""

    def __init__(self, store: CacheStore, sums: SumAlgorithm) -> None:
        self.store = store
        self.gate = asyncio.Event()
        self.liar = self._parent("liar", sums)
        self.liar.maps_lie, self.liar.flip_at = True, LIE
        self.liar.gate, self.liar.gate_at = self.gate, HERE
        self.honest = self._parent("honest", SumAlgorithm.BLAKE3)
        self.fills: list[Fills] = []
        self.distrusted = Distrusted()
        self.named: set[str] = set()
        self.first, self.second = self.through(), self.through()

    def _parent(self, name: str, sums: SumAlgorithm) -> SimulatedSource:
        parent = SimulatedSource(name, maps=True, sums=sums)
        parent.add(DATA)
        return parent

    def through(self) -> PullThrough:
        choice = Failover([[candidate(self.liar)], [candidate(self.honest)]], self.distrusted)
        self.fills.append(Fills(self.store, FillPolicy(complete_after=2)))
        rivals = ParentRivals([], self.distrusted)
        return PullThrough(self.store, choice, self.fills[-1], self.note, rivals=rivals)

    def note(self, source: str, digest: Digest, reason: str) -> None:
        self.named.add(source)
        self.distrusted.note(source, digest, reason)

    def came(self, upto: int) -> bool:
        fill = self.fills[0].get(DIGEST)
        return fill is not None and fill.held(Span(0, upto)) == Span(0, upto)

    async def begin(self) -> asyncio.Task[bytes]:
        """A whole pull that stands still behind the lie, which its map proves."""
        pulling = asyncio.ensure_future(read(self.first, DIGEST))
        await eventually(lambda: self.came(HERE))
        return pulling


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CacheStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    disk = await DiskStore.start(tmp_path)
    yield disk
    await disk.close()


@pytest.fixture(params=SumAlgorithm)
async def pulls(store: CacheStore, request: pytest.FixtureRequest) -> AsyncIterator[Pulls]:
    async with AsyncExitStack() as stack:
        pulls = Pulls(store, request.param)
        for fills in pulls.fills:
            stack.push_async_callback(fills.close)
        yield pulls


async def given(through: PullThrough, part: Span) -> bytes:
    """What comes of it: right, or nothing."""
    try:
        return await read(through, DIGEST, part)
    except Failure:
        return b""


@pytest.mark.parametrize("process", ["first", "second"])
async def test_a_part_is_right(pulls: Pulls, process: str) -> None:
    """In whichever process it is asked for; however often."""
    pulling = await pulls.begin()
    through = getattr(pulls, process)
    asked = asyncio.ensure_future(read(through, DIGEST, PART))
    await eventually(lambda: pulls.honest.maps_asked > 0)
    pulls.gate.set()
    assert await asked == DATA[PART.start : PART.stop]
    await asyncio.gather(pulling, return_exceptions=True)
    assert await read(through, DIGEST, PART) == DATA[PART.start : PART.stop]
    assert pulls.named == {"liar"}


async def test_what_is_here_is_not_handed_out_at_once(pulls: Pulls) -> None:
    """As it is to who reads what came before."""
    pulling = await pulls.begin()
    async with pulls.first.open(DIGEST, PART) as reading:
        assert reading.ready(PART) is None
    pulls.gate.set()
    await asyncio.gather(pulling, return_exceptions=True)


async def test_a_part_is_right_after_the_pull_was_given_up(pulls: Pulls) -> None:
    """And the process that began it is gone."""
    pulling = await pulls.begin()
    pulling.cancel()
    await asyncio.gather(pulling, return_exceptions=True)
    await pulls.fills[0].close()
    pulls.gate.set()
    assert await given(pulls.second, PART) in (b"", DATA[PART.start : PART.stop])
    assert await read(pulls.second, DIGEST, PART) == DATA[PART.start : PART.stop]


async def test_parents_are_compared_once_for_all_who_read_parts(pulls: Pulls) -> None:
    """Of an honest pull; each part leaves while the whole is still under way."""
    pulls.liar.maps_lie, pulls.liar.flip_at = False, None
    pulling = await pulls.begin()
    before = pulls.liar.maps_asked
    parts = [Span(at, at + 3000) for at in range(100, HERE - 3000, CHUNK // 2)]
    for got, part in zip(
        await asyncio.gather(*(read(pulls.first, DIGEST, p) for p in parts)), parts, strict=True
    ):
        assert got == DATA[part.start : part.stop]
    assert pulls.liar.maps_asked == before + 1 and 1 <= pulls.honest.maps_asked <= 2
    async with pulls.first.open(DIGEST, PART) as reading:
        assert reading.ready(PART) is not None and not reading.provenance.unproven
    pulls.gate.set()
    assert await pulling == DATA


async def test_nobody_else_is_asked_for_the_sake_of_a_whole_pull(pulls: Pulls) -> None:
    pulls.liar.maps_lie, pulls.liar.flip_at = False, None
    pulls.gate.set()
    assert await read(pulls.first, DIGEST) == DATA
    assert pulls.honest.maps_asked == 0 and pulls.liar.maps_asked == 1


async def test_where_nobody_can_be_asked_what_is_here_is_given(pulls: Pulls) -> None:
    """As what was proven before the parents went down."""
    pulls.liar.maps_lie, pulls.liar.flip_at = False, None
    pulling = await pulls.begin()
    pulls.liar.down = pulls.honest.down = True
    assert await read(pulls.first, DIGEST, PART) == DATA[PART.start : PART.stop]
    pulling.cancel()
    await asyncio.gather(pulling, return_exceptions=True)


async def test_a_node_below_is_told_what_parents_say_together(pulls: Pulls) -> None:
    """The map of a part is not the one that fits the lie of the first parent alone."""
    pulling = await pulls.begin()
    found = await pulls.first.chunk_map(DIGEST, PART)
    assert found is None or found.beside is not None
    pulls.gate.set()
    await asyncio.gather(pulling, return_exceptions=True)
