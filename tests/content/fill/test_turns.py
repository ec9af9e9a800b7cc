"""Whose turn is waited for where a stream broke: that of the source that is asked again, and of no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.chunks.sums import ChunkSum
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.retries import RetryBudget
from registry_mesh.content.fill.rivals import NoRivals
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.transfer import Transfer
from registry_mesh.content.fill.via import Via
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.failures import SourceThrottled
from registry_mesh.ports.repositories import Repository
from registry_mesh.ports.urgency import unhurried
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import SECONDS
from tests.simulators.nests import NearParent
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern

DATA = pattern(4 * MIB)
DIGEST = Digest.of(DATA)
REGISTRY = RegistryName("r.example")
SHORT = 3 * CHUNK
"""Bytes after which a stream breaks that another source is to go on with."""


@dataclass
class Noted(RetryBudget):
    """Notes whose turn was taken."""

    taken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def take(self, source: str, now: float) -> float:
        self.taken.append(source)
        return super().take(source, now)


@dataclass(frozen=True)
class Offer:
    """A registry of one source. Implements `ports.repositories.RegistrySource`."""

    source: SimulatedSource

    def repository(self, name: RepositoryName) -> Repository:
        each = self.source
        return Repository(REGISTRY, name, each, each, each, each)  # type: ignore[arg-type]  # blobs alone are asked for

    async def repositories(self) -> AsyncIterator[RepositoryName]:
        yield RepositoryName("team/app")


async def wanted(transfer: Transfer) -> bool:
    return True


def written(index: int, sums: Sequence[ChunkSum | None], source: str) -> int:
    """Nothing is to be done with any of them."""
    return len(sums)


@pytest.mark.parametrize(
    ("breaks", "taken"),
    [
        ({"a": SHORT, "b": None}, []),
        ({"a": SHORT}, ["a"] * 10),
        ({"a": SHORT, "b": SHORT}, ["b", "a"] * 4 + ["b"]),
        ({"a": 2 * MIB, "b": None}, ["a"]),
    ],
    ids=["another goes on", "it is alone", "both break", "it brought much"],
)
async def test_the_turn_that_is_waited_for(breaks: dict[str, int | None], taken: list[str]) -> None:
    sources = [SimulatedSource(name=name, cut_every=every) for name, every in breaks.items()]
    for each in sources:
        each.add(DATA)
    budget, distrusted = Noted(), Distrusted()
    parents = FailoverRegistry(
        REGISTRY, [[NearParent(Offer(each), each.name)] for each in sources], distrusted
    )
    via = Via(
        REGISTRY,
        parents.repository(RepositoryName("team/app")).blobs,
        distrusted.note,
        distrusted.doubt,
        rivals=parents.rivals,
    )
    async with MemoryStore().hold(DIGEST, len(DATA)) as hold, asyncio.timeout(SECONDS):
        state = FillState(hold, FillPolicy(), budget=budget)
        await Transfer(state, via, range(state.chunks), wanted, written).run()
    assert budget.taken == taken
    assert sum(each.sent for each in sources) <= 1.2 * len(DATA)


class Busy(NoRivals):
    """Clients wait for what any source sends."""

    def busy(self, source: str) -> bool:
        return True


@dataclass
class Kept(SimulatedSource):
    """Says once that all that it allows is kept for clients."""

    told: bool = False

    def blob(self, digest: Digest) -> bytes:
        if not self.told:
            self.told = True
            raise SourceThrottled("allows 3 requests more", source=self.name)
        return super().blob(digest)


@pytest.mark.parametrize("kind", [Kept, partial(SimulatedSource, cut_every=SHORT)], ids=["quota", "cut"])
@pytest.mark.parametrize("background", [False, True])
async def test_a_source_is_not_doubted_for_what_made_way_for_clients(
    background: bool, kind: Callable[[], SimulatedSource]
) -> None:
    """A stream that stands still for them may well be cut by who sends it."""
    source, doubted = kind(), list[str]()
    source.add(DATA)
    via = Via(REGISTRY, source, print, lambda name, digest: doubted.append(name))

    async def makes_way(transfer: Transfer) -> bool:
        transfer.step_back.waits(Busy(), transfer.source)
        return True

    async with MemoryStore().hold(DIGEST, len(DATA)) as hold, asyncio.timeout(SECONDS):
        state = FillState(hold, FillPolicy())
        with unhurried() if background else nullcontext():
            transfer = Transfer(state, via, range(state.chunks), makes_way, written)
        await transfer.run()
    assert bool(doubted) is not background
