"""Which of several servers is asked for what a server lacks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.chunks.rendezvous import SEGMENT, rank, segment
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.nest.siblings import SiblingsFirst
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import NotHeld, SourceUnavailable
from registry_mesh.ports.hops import HOPS, Asks, Hops, asks_of
from registry_mesh.ports.siblings import Sibling
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern, read

DATA = b"bytes of a blob"
NAMES = ("a", "b", "c", "d")


@dataclass
class Well:
    """The health of a server."""

    available: bool = True
    reason: str = ""
    confirmed: bool = True

    async def back(self) -> bool:
        return False


class World:
    """One server, its siblings in the order in which they bring the first segment of DATA, and its parents."""

    def __init__(self, place: int) -> None:
        """`place`: the server's own in that order."""
        self.digest = Digest.of(DATA)
        order = sorted(NAMES, key=lambda name: rank(name, self.digest, segment(0)))
        self.parents = SimulatedSource("parents")
        self.parents.add(DATA)
        self.health = {name: Well() for name in order}
        self.filling = {name: SimulatedSource(name) for name in order}
        self.held = {name: SimulatedSource(name) for name in order}
        self.order = [name for name in order if name != order[place]]
        self.distrusted = Distrusted()
        siblings = [
            Sibling(name, name, self.health[name], self.filling[name], self.held[name])
            for name in reversed(self.order)
        ]
        self.source = SiblingsFirst(order[place], siblings, self.parents, self.distrusted)

    async def given_by(self, span: Span | None = None) -> str:
        async with self.source.open(self.digest, span) as reading:
            assert [bytes(piece) async for piece in reading.pieces() if isinstance(piece, bytes)]
            return reading.provenance.source


async def test_the_first_in_the_order_asks_its_parents_where_nobody_holds_it() -> None:
    world = World(0)
    for each in world.filling.values():
        each.add(DATA)
    assert await world.given_by() == "parents"
    assert not any(each.opened for each in world.filling.values()), "they could be waiting for us"


async def test_what_another_holds_is_not_brought_again() -> None:
    world = World(0)
    world.held[world.order[2]].add(DATA)
    assert await world.given_by() == world.order[2]
    assert not world.parents.opened


async def test_others_ask_who_is_before_them() -> None:
    world = World(2)
    for each in world.filling.values():
        each.add(DATA)
    assert await world.given_by() == world.order[0]
    world.health[world.order[0]].available = False
    assert await world.given_by() == world.order[1]
    world.filling[world.order[1]].down = True
    assert await world.given_by() == "parents"


async def test_who_gave_nothing_of_use_is_passed_over() -> None:
    world = World(1)
    world.filling[world.order[0]].add(DATA)
    world.distrusted.doubt(world.order[0], world.digest)
    assert await world.given_by() == "parents"


async def test_what_a_sibling_knows_nothing_of_the_parents_may_have() -> None:
    world = World(3)
    assert await world.given_by() == "parents"
    world.parents.blobs.clear()
    with pytest.raises(BlobUnknown):
        await world.given_by()


async def test_a_server_without_parents_asks_the_others() -> None:
    world = World(0)
    world.parents.down = True
    world.filling[world.order[1]].add(DATA)
    world.held[world.order[1]].add(DATA)
    assert (await world.source.stat(world.digest)).size == len(DATA)
    world.held[world.order[1]].blobs.clear()
    assert await world.given_by() == world.order[1]


async def test_but_not_for_the_sake_of_another_server() -> None:
    """It may be the very one that would be asked."""
    world = World(0)
    world.parents.down = True
    world.filling[world.order[1]].add(DATA)
    HOPS.set(Hops(asks=Asks.SIBLING))
    with pytest.raises(SourceUnavailable):
        await world.given_by()


async def test_a_reading_ends_with_its_segment() -> None:
    parents = SimulatedSource()
    digest = parents.add(bytes(SEGMENT + MIB))
    source = SiblingsFirst("a", [], parents, Distrusted())
    for span, given in (
        (None, Span(0, SEGMENT)),
        (Span(5, SEGMENT + 9), Span(5, SEGMENT)),
        (Span(SEGMENT, SEGMENT + 9), Span(SEGMENT, SEGMENT + 9)),
        (Span(SEGMENT - 1, 1 << 62), Span(SEGMENT - 1, SEGMENT)),
    ):
        async with source.open(digest, span) as reading:
            assert reading.span == given
            assert reading.info.size == SEGMENT + MIB


def test_nobody_waits_for_who_waits_for_it() -> None:
    """Whichever servers each of them knows: who is asked to bring a segment is before the asker, for all of them."""
    for number, part in itertools.product(range(50), (segment(0), segment(SEGMENT))):
        digest = Digest.of(bytes([number]))
        waits = {
            (asker, asked)
            for asker, asked in itertools.permutations(NAMES, 2)
            if rank(asked, digest, part) < rank(asker, digest, part)
        }
        assert not any((asked, asker) in waits for asker, asked in waits)
        first = [name for name in NAMES if not any(asker == name for asker, _ in waits)]
        assert len(first) == 1


def test_segments_are_shared_out() -> None:
    brought = dict.fromkeys(NAMES, 0)
    for number in range(400):
        digest = Digest.of(str(number).encode())
        brought[min(NAMES, key=lambda name: rank(name, digest, segment(0)))] += 1
    assert all(60 <= count <= 140 for count in brought.values()), brought


def test_a_lost_server_leaves_the_others_their_segments() -> None:
    for number in range(100):
        digest = Digest.of(str(number).encode())
        order = sorted(NAMES, key=lambda name: rank(name, digest, segment(0)))
        left = sorted(NAMES[1:], key=lambda name: rank(name, digest, segment(0)))
        assert [name for name in order if name != NAMES[0]] == left


@pytest.mark.parametrize(
    ("registry_mesh", "cache_control", "asks"),
    [
        (None, None, Asks.ANYTHING),
        ("sibling", None, Asks.SIBLING),
        ("site", None, Asks.ANYTHING),
        (None, "no-cache", Asks.ANYTHING),
        (None, "max-age=0, Only-If-Cached", Asks.HELD),
        ("sibling", "only-if-cached", Asks.BEGINNING),
        (None, "x-only-if-cached", Asks.ANYTHING),
    ],
)
def test_how_far_a_request_is_worked_for(
    registry_mesh: str | None, cache_control: str | None, asks: Asks
) -> None:
    assert asks_of(registry_mesh, cache_control) is asks


@pytest.mark.parametrize("asks", [Asks.HELD, Asks.BEGINNING])
async def test_of_what_is_held_in_part_another_server_takes_the_beginning(asks: Asks) -> None:
    parents, store = SimulatedSource(), MemoryStore()
    data = pattern(8 * CHUNK)
    digest, fills = parents.add(data), Fills(store, FillPolicy(complete_after=2))
    through = PullThrough(store, parents, fills)
    assert await read(through, digest, Span(0, 4 * CHUNK)) == data[: 4 * CHUNK]
    HOPS.set(Hops(asks=asks))
    with pytest.raises(NotHeld):
        await read(through, digest, Span(5 * CHUNK, 8 * CHUNK))
    if asks is Asks.HELD:
        with pytest.raises(NotHeld):
            await read(through, digest, Span(CHUNK, 8 * CHUNK))
    else:
        async with through.open(digest, Span(CHUNK, 8 * CHUNK)) as reading:
            assert reading.span == Span(CHUNK, 4 * CHUNK)
        with pytest.raises(NotHeld):
            await read(through, digest)
    assert parents.sent == 4 * CHUNK, "nobody is asked"
    await fills.close()
