"""Blobs that several sites share, in front of the parents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.nest.shared import SharedFirst
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import HELD, BlobInfo, Reading, Streamed
from registry_mesh.ports.failures import SourceUnavailable, SpanUnsatisfiable, StoreBroken
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern, read

DATA = pattern(3 * MIB + 5)
DIGEST = Digest.of(DATA)
SPAN = Span(MIB, 2 * MIB)


@dataclass
class Place(SimulatedSource):
    """A shared place."""

    rejected: list[Digest] = field(default_factory=list)

    def reject(self, digest: Digest) -> None:
        self.rejected.append(digest)


class Addressed(MemoryStore, Streamed):
    """A store, and a reading, that has every blob somewhere else."""

    info = BlobInfo(DIGEST, len(DATA))
    span = SPAN
    provenance = HELD
    address = "https://elsewhere/"
    down = False

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        if self.down:
            raise StoreBroken("does not answer")
        yield self


class Tree:
    def __init__(self) -> None:
        self.shared = Place("bucket", maps=True)
        self.parent = SimulatedSource("parent")
        self.parent.add(DATA)
        self.distrusted = Distrusted()
        self.first = SharedFirst(self.shared, self.parent, self.distrusted)
        self.store = MemoryStore()
        self.fills = Fills(self.store, FillPolicy(complete_after=2))
        self.through = PullThrough(self.store, self.first, self.fills, self.first.distrust)


@pytest.fixture
async def tree() -> AsyncIterator[Tree]:
    tree = Tree()
    yield tree
    await tree.fills.close()


async def test_what_is_shared_costs_the_parent_nothing_and_is_kept(tree: Tree) -> None:
    tree.shared.add(DATA)
    assert await read(tree.through, DIGEST, Span(MIB, MIB + 9)) == DATA[MIB : MIB + 9]
    assert tree.shared.sent < MIB, "a range moves its chunks"
    assert await read(tree.through, DIGEST) == DATA
    assert tree.parent.opened == []
    tree.shared.down = tree.parent.down = True
    assert await read(tree.through, DIGEST) == DATA


async def test_clients_are_sent_elsewhere_while_it_is_filled_too(tree: Tree) -> None:
    tree.shared.add(DATA)
    known: set[Digest] = set()
    near = Addressed()
    through = PullThrough(near, tree.first, tree.fills, redirects=known.__contains__)
    assert await read(tree.through, DIGEST, Span(0, 9)) == DATA[:9]
    assert tree.fills.get(DIGEST) is not None
    async with through.open(DIGEST, SPAN) as reading:
        assert reading.address is None, "nobody knows that it is there"
    known.add(DIGEST)
    async with through.open(DIGEST, SPAN) as reading:
        assert reading.address == Addressed.address
    near.down = True
    assert await read(through, DIGEST, SPAN) == DATA[SPAN.start : SPAN.stop]


async def test_what_is_not_shared_comes_from_the_parent(tree: Tree) -> None:
    assert (await tree.through.stat(DIGEST)).size == len(DATA)
    assert await read(tree.through, DIGEST) == DATA
    with pytest.raises(BlobUnknown):
        await tree.first.stat(Digest.of(b"nowhere"))


async def test_what_the_parent_says_counts_where_neither_can(tree: Tree) -> None:
    tree.parent.down = True
    with pytest.raises(SourceUnavailable, match="is down"):
        await read(
            tree.first, DIGEST
        )  # the shared place knows no such blob: that alone does not make it unknown
    tree.parent.down, tree.shared.down = False, True
    with pytest.raises(BlobUnknown):
        await read(tree.first, Digest.of(b"nowhere"))
    tree.shared.down = False
    tree.shared.add(DATA)
    tree.parent.down = True
    with pytest.raises(SpanUnsatisfiable):
        await read(tree.first, DIGEST, Span(len(DATA), len(DATA) + 1))


@pytest.mark.parametrize("fault", [{"down": True}, {"cut_every": MIB}])
async def test_a_shared_place_that_fails_is_not_noticed(tree: Tree, fault: dict[str, Any]) -> None:
    tree.shared.add(DATA)
    for name, value in fault.items():
        setattr(tree.shared, name, value)
    assert await read(tree.through, DIGEST) == DATA


async def test_wrong_bytes_are_made_up_for_by_the_parent(tree: Tree) -> None:
    tree.shared.add(DATA)
    tree.shared.flip_at = 2 * MIB
    assert await read(tree.through, DIGEST) == DATA
    assert tree.shared.rejected == [DIGEST] and tree.distrusted.lies("bucket", DIGEST)
    assert 0 < tree.parent.sent < 2 * MIB, "no more than the rest"


async def test_who_sent_wrong_bytes_once_is_still_asked_where_the_parent_cannot_be(tree: Tree) -> None:
    tree.shared.add(DATA)
    tree.parent.down = True
    tree.first.distrust("bucket", DIGEST, "wrong")
    assert await read(tree.through, DIGEST) == DATA
    assert tree.shared.rejected == [DIGEST]


async def test_wrong_bytes_of_others_are_not_its_own(tree: Tree) -> None:
    tree.first.distrust("parent", DIGEST, "wrong")
    assert tree.shared.rejected == [] and tree.distrusted.lies("parent", DIGEST)


async def test_who_goes_on_sending_wrong_bytes_is_left_out(tree: Tree) -> None:
    tree.shared.add(DATA)
    for _ in range(2):
        tree.first.distrust("bucket", DIGEST, "wrong")
    tree.parent.down = True
    with pytest.raises(SourceUnavailable):
        await read(tree.first, DIGEST)
    assert tree.shared.opened == []
