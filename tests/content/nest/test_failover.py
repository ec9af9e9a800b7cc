"""A choice among parents: who is asked, what the answers together mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.sums import SumAlgorithm
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.candidates import Candidate
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.content.nest.parent_rivals import ParentRivals
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.nest.spread import Spread
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Reading
from registry_mesh.ports.failures import (
    Failure,
    MapsDisputed,
    MapUnusable,
    SourceDown,
    SourceLied,
    SourceUnavailable,
    SourceUnreadable,
)
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.repositories import FetchedManifest, Referrers, Repository, TagPage
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource
from tests.simulators.unhurried import Unhurried
from tests.suites.chunk_maps import excerpt
from tests.suites.maps_of import map_of

DATA = bytes(range(256)) * 20_000


@dataclass
class Place(Unhurried):
    name: str
    available: bool = True
    reason: str = "refuses connections, is tried again in 4 s"
    confirmed: bool = True
    lost: bool = False
    load: float = 0.0
    late: float = 30.0
    soon: float = 30.0
    hush: float = 60.0
    spare: bool = True
    mesh: bool | None = None
    distance: float = 0.0
    received: int = 0
    returns: bool = False

    async def back(self) -> bool:
        return self.returns


def candidate(source: SimulatedSource, **place: object) -> Candidate:
    repository = Repository(
        RegistryName("r"), RepositoryName("a"), source, source, source, source  # type: ignore[arg-type]
    )  # fmt: skip
    return Candidate(Place(source.name, **place), repository)  # type: ignore[arg-type]


def holding(name: str, data: bytes | None = DATA, **knobs: object) -> SimulatedSource:
    source = SimulatedSource(name=name, **knobs)  # type: ignore[arg-type]
    if data is not None:
        source.add(data)
    return source


async def read(source: Failover | PullThrough, digest: Digest, span: Span | None = None) -> bytes:
    async with source.open(digest, span) as reading:
        return b"".join([piece async for piece in in_memory(reading)])


async def test_groups_in_order_and_the_least_loaded_first() -> None:
    far, near, idle = holding("far"), holding("near"), holding("idle")
    choice = Failover([[candidate(near, load=2), candidate(idle, load=1)], [candidate(far)]], Distrusted())
    assert await read(choice, Digest.of(DATA)) == DATA
    assert (len(idle.opened), len(near.opened), len(far.opened)) == (1, 0, 0)


async def test_by_rendezvous_the_load_does_not_choose() -> None:
    sources = [holding("a"), holding("b"), holding("c")]
    groups = [[candidate(each, load=index) for index, each in enumerate(sources)]]
    choice = Failover(groups, Distrusted(), Spread.RENDEZVOUS)
    for index in range(20):
        digest = Digest.of(bytes([index]))
        for each in sources:
            each.add(bytes([index]))
        assert await read(choice, digest) == bytes([index])
    assert min(len(each.opened) for each in sources) >= 2


async def test_what_one_does_not_know_another_may() -> None:
    empty, full = holding("empty", None), holding("full")
    choice = Failover([[candidate(empty)], [candidate(full)]], Distrusted())
    assert await read(choice, Digest.of(DATA)) == DATA


async def test_unknown_only_when_all_could_be_asked() -> None:
    one, two = holding("one", None), holding("two", None)
    choice = Failover([[candidate(one)], [candidate(two)]], Distrusted())
    with pytest.raises(BlobUnknown):
        await choice.stat(Digest.of(DATA))
    two.down = True
    with pytest.raises(SourceUnavailable, match="is down"):
        await choice.stat(Digest.of(DATA))


async def test_a_parent_known_to_be_down_is_not_asked() -> None:
    down = holding("down")
    choice = Failover([[candidate(down, available=False)]], Distrusted())
    for asked in (choice.stat, choice.chunk_map):
        with pytest.raises(SourceDown, match="down: refuses connections, is tried again in 4 s"):
            await asked(Digest.of(DATA))
    assert down.stats == 0


@pytest.mark.parametrize("span", [None, Span(0, 10)])
@pytest.mark.parametrize("asks", ["bytes", "map"])
async def test_one_that_is_back_is_used_by_the_first_request_that_comes(asks: str, span: Span | None) -> None:
    """Whatever of a blob is asked for first: a fill that begins asks for both at once."""
    source = holding("back", maps=True)
    only = candidate(source, available=False, returns=True)
    choice, place, digest = Failover([[only]], Distrusted()), only.parent, Digest.of(DATA)

    async def back() -> bool:
        place.available = True  # type: ignore[misc]
        return True

    place.back = back  # type: ignore[method-assign]
    if asks == "bytes":
        assert await read(choice, digest, span) == DATA[: len(span) if span else None]
    else:
        assert await choice.chunk_map(digest, span) == (excerpt(map_of(DATA), span) if span else map_of(DATA))


@pytest.mark.parametrize("maps", [False, True])
async def test_of_one_that_has_no_map_and_one_that_is_down_nobody_is_waited_for(maps: bool) -> None:
    up, down = holding("up", maps=maps), holding("down", maps=True)
    choice = Failover([[candidate(up)], [candidate(down, available=False)]], Distrusted())
    found = await choice.chunk_map(Digest.of(DATA))
    assert found == (map_of(DATA) if maps else None)


@pytest.mark.parametrize("maps", [False, True])
async def test_one_that_never_answered_is_not_waited_for_where_another_tells_of_its_map(maps: bool) -> None:
    class Hung(SimulatedSource):
        async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
            await asyncio.Event().wait()
            return None

    up = holding("up", maps=maps)
    groups = [[candidate(Hung(name="hung"), confirmed=False, late=0.01)], [candidate(up)]]
    async with asyncio.timeout(60):
        found = await Failover(groups, Distrusted()).chunk_map(Digest.of(DATA))
    assert found == (map_of(DATA) if maps else None)


async def test_who_was_late_with_a_map_and_never_answered_is_waited_for_once() -> None:
    class Hung(SimulatedSource):
        async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
            await asyncio.Event().wait()
            return None

    hung = candidate(Hung(name="hung"), confirmed=False, late=0.01)
    choice = Failover([[hung], [candidate(holding("up", maps=True))]], Distrusted())
    async with asyncio.timeout(60):
        assert await choice.chunk_map(Digest.of(DATA)) == map_of(DATA)
        hung.parent.late = 3600.0  # type: ignore[misc]
        assert await choice.chunk_map(Digest.of(DATA)) == map_of(DATA)


async def test_nor_is_it_by_another_process_of_the_node() -> None:
    class Hung(SimulatedSource):
        async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
            await asyncio.Event().wait()
            return None

    @dataclass
    class Known(Place):
        """What one process says of it all know."""

        beaten: frozenset[str] = frozenset()

        def outran(self, what: str, seconds: float) -> None:
            self.beaten |= {what}

        def outrun(self, what: str) -> bool:
            return what in self.beaten

    place = Known("hung", confirmed=False, late=0.01)
    hung = Candidate(place, candidate(Hung(name="hung")).repository)  # type: ignore[arg-type]
    groups = [[hung], [candidate(holding("up", maps=True))]]
    async with asyncio.timeout(60):
        assert await Failover(groups, Distrusted()).chunk_map(Digest.of(DATA)) == map_of(DATA)
        place.late = 3600.0
        assert await Failover(groups, Distrusted()).chunk_map(Digest.of(DATA)) == map_of(DATA)


@pytest.mark.parametrize("maps", [False, True])
async def test_of_one_that_answers_and_is_late_with_its_map_another_tells_or_nobody_has_said_there_is_none(
    maps: bool,
) -> None:
    class Hung(SimulatedSource):
        async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
            self.maps_asked += 1
            await asyncio.Event().wait()
            return None

    late, told = Hung(name="late"), holding("up", maps=maps)
    choice = Failover([[candidate(late, late=0.01)], [candidate(told)]], Distrusted())
    async with asyncio.timeout(60):
        if maps:
            for _ in range(2):
                assert await choice.chunk_map(Digest.of(DATA)) == map_of(DATA)
            assert late.maps_asked == 1, "the next time another is asked first"
        else:
            with pytest.raises(SourceUnavailable, match="is late with its chunk map"):
                await choice.chunk_map(Digest.of(DATA))


async def test_one_that_is_back_may_know_what_another_does_not() -> None:
    empty, down = holding("empty", None), holding("down")
    choice = Failover([[candidate(empty)], [candidate(down, available=False)]], Distrusted())
    with pytest.raises(SourceUnavailable, match="down: refuses"):
        await choice.stat(Digest.of(DATA))


async def test_where_all_are_known_to_be_down_nothing_is_tried_again() -> None:
    """A cold blob whose size is known: its fill begins, and ends at once."""
    looks: list[str] = []

    class Down(Place):
        def __getattribute__(self, name: str) -> object:
            if name == "available":
                looks.append(name)
            return super().__getattribute__(name)

    source, store = holding("down"), MemoryStore()
    choice = Failover(
        [[Candidate(Down("down", available=False), candidate(source).repository)]], Distrusted()
    )
    fills = Fills(store, FillPolicy())
    try:
        async with store.hold(Digest.of(DATA), len(DATA)):
            with pytest.raises(SourceDown):
                await read(PullThrough(store, choice, fills), Digest.of(DATA))
    finally:
        await fills.close()
    assert len(looks) == 2, "asked for the blob, and for its chunk map"


@pytest.mark.parametrize("maps", [False, True])
async def test_the_liar_is_named_and_routed_around(maps: bool) -> None:
    liar, honest = holding("liar", flip_at=1_500_000, maps=maps), holding("honest", maps=maps)
    named: list[str] = []
    distrusted = Distrusted(count=named.append)
    choice = Failover([[candidate(liar)], [candidate(honest)]], distrusted)
    fills = Fills(MemoryStore(), FillPolicy(complete_after=2))
    through = PullThrough(MemoryStore(), choice, fills, distrusted.note)
    got = b""
    for _ in range(2):
        try:
            got = await read(through, Digest.of(DATA))
            break
        except Exception:
            assert not maps
    assert got == DATA
    assert named[0] == "liar"
    assert honest.sent > 0
    await fills.close()


@pytest.mark.parametrize(
    ("fault", "counted"),
    [(SourceLied("other bytes"), 3), (SourceUnreadable("a page"), 0)],
    ids=["lie", "page"],
)
async def test_wrong_bytes_alone_are_counted_as_wrong(fault: Failure, counted: int) -> None:
    class Odd(SimulatedSource):
        async def tags(self, limit: int, last: str = "") -> TagPage:
            raise fault

        async def manifest(self, digest: Digest) -> FetchedManifest:
            raise fault

        async def stat(self, digest: Digest) -> BlobInfo:
            raise fault

    named: list[str] = []
    distrusted = Distrusted(count=named.append)
    choice = Failover([[candidate(Odd(name="odd"))]], distrusted)
    digest = Digest.of(DATA)
    for asked in (choice.tags(5), choice.manifest(digest), choice.stat(digest)):
        with pytest.raises(SourceUnavailable, match=fault.reason):
            await asked
    assert named == ["odd"] * counted
    assert distrusted.shunned("odd", digest)


async def test_a_stream_goes_on_at_the_next_parent() -> None:
    first, second = holding("first", cut_every=2_000_000), holding("second")
    choice = Failover([[candidate(first)], [candidate(second)]], Distrusted())
    store = MemoryStore()
    fills = Fills(store, FillPolicy(complete_after=2))
    through = PullThrough(store, choice, fills)
    assert await read(through, Digest.of(DATA)) == DATA
    await fills.close()


async def test_who_lied_twice_is_left_out_for_longer_and_longer_and_asked_last() -> None:
    now = [0.0]
    digest = Digest.of(DATA)
    distrusted = Distrusted(clock=lambda: now[0])
    liar, other = holding("liar"), holding("other")
    unsuspected = liar.add(b"other")
    alone = Failover([[candidate(liar)]], distrusted)
    both = Failover([[candidate(liar)], [candidate(other)]], distrusted)
    distrusted.note("liar", digest, "wrong")
    assert await read(alone, digest) == DATA
    for lies, pause in enumerate((5, 10, 20, 40, 80, 160, 300), start=2):
        distrusted.note("liar", digest, "wrong")
        assert distrusted.lies("liar", digest) == lies
        now[0] += pause - 0.1
        with pytest.raises(SourceDown, match=r"liar: wrong$"):
            await alone.stat(digest)
        assert (await alone.stat(unsuspected)).size == 5, "about other things it is asked"
        if pause < 300:
            now[0] += 0.2
            await alone.stat(digest)
            asked = len(liar.opened)
            assert await read(both, digest) == DATA
            assert len(liar.opened) == asked, "the other goes first"
    now[0] += 0.2
    assert distrusted.lies("liar", digest) == 0, "forgiven"


class Hung(SimulatedSource):
    """Answers nothing about sizes before its gate is open."""

    async def stat(self, digest: Digest) -> BlobInfo:
        assert self.gate is not None
        await self.gate.wait()
        return await super().stat(digest)


async def test_beside_a_late_candidate_the_next_is_asked() -> None:
    late, other = Hung("late", gate=asyncio.Event()), holding("other")
    late.add(DATA)
    choice = Failover([[candidate(late, late=0.01)], [candidate(other)]], Distrusted())
    async with asyncio.timeout(60):
        assert (await choice.stat(Digest.of(DATA))).size == len(DATA)
        assert (await choice.stat(Digest.of(DATA))).size == len(DATA)
    assert (late.stats, other.stats) == (0, 2), "who was late is asked last"


async def test_a_late_candidate_may_still_be_the_one_that_knows() -> None:
    late, other = Hung("late", gate=asyncio.Event()), holding("other", None)
    late.add(DATA)
    choice = Failover([[candidate(late, late=0.01)], [candidate(other, late=0.01)]], Distrusted())
    asked = asyncio.ensure_future(choice.stat(Digest.of(DATA)))
    async with asyncio.timeout(60):
        await eventually(lambda: other.stats, "the other to be asked")
        late.gate.set()  # type: ignore[union-attr]  # it has one
        assert (await asked).size == len(DATA)


async def test_an_answer_that_comes_too_late_is_closed() -> None:
    closed: list[str] = []

    class Opened(SimulatedSource):
        @asynccontextmanager
        async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
            try:
                if self.gate is not None:
                    await self.gate.wait()
                async with super().open(digest, span) as reading:
                    yield reading
            finally:
                closed.append(self.name)

    late, other = Opened("late", gate=asyncio.Event()), Opened("other")
    for source in (late, other):
        source.add(DATA)
    choice = Failover([[candidate(late, late=0.01)], [candidate(other)]], Distrusted())
    async with choice.open(Digest.of(DATA)):
        assert closed == ["late"], "cancelled, and nothing of it is left"
    assert closed == ["late", "other"]


@pytest.mark.parametrize(("span", "heads"), [(None, 1), (Span(0, 2 << 20), 1), (Span(0, 1000), 0)])
async def test_beside_a_late_one_a_large_body_is_not_asked_for_at_once(span: Span | None, heads: int) -> None:
    class Opening(SimulatedSource):
        @asynccontextmanager
        async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
            if self.gate is not None:
                await self.gate.wait()
            async with super().open(digest, span) as reading:
                yield reading

    late, other = Opening("late", gate=asyncio.Event()), Opening("other")
    for source in (late, other):
        source.add(DATA)
    choice = Failover([[candidate(late, late=0.01)], [candidate(other)]], Distrusted())
    async with asyncio.timeout(60), choice.open(Digest.of(DATA), span) as reading:
        assert reading.provenance.source == "other"
    assert (other.stats, late.stats) == (heads, 0)
    async with choice.open(Digest.of(DATA), span):
        pass
    assert other.stats == heads, "it is the first to be asked now"


@dataclass
class Lists:
    """Referrers of any subject: what is there, or nothing at all."""

    found: Referrers | None

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        if self.found is None:
            raise SourceUnavailable("is down")
        return self.found


def listing(name: str, *found: Descriptor, down: bool = False) -> Candidate:
    lists = Lists(None if down else Referrers(found))
    repository = Repository(
        RegistryName("r"), RepositoryName("a"), lists, lists, lists, lists  # type: ignore[arg-type]
    )  # fmt: skip
    return Candidate(Place(name), repository)  # type: ignore[arg-type]


async def test_referrers_are_of_the_first_that_has_some() -> None:
    """A parent that does not have the subject says that it has no referrers."""
    signature = Descriptor("application/json", Digest.of(b"signature"), 9)
    empty, full, down = listing("empty"), listing("full", signature), listing("down", down=True)
    subject = Digest.of(DATA)

    async def found(*candidates: Candidate) -> tuple[Descriptor, ...]:
        choice = Failover([[each] for each in candidates], Distrusted())
        return (await choice.referrers(subject)).descriptors

    assert await found(empty, full) == await found(down, empty, full) == (signature,)
    assert await found(empty, empty) == await found(empty, down) == await found(down, empty) == ()
    with pytest.raises(SourceUnavailable):
        await found(down, down)


async def test_where_all_are_suspects_their_maps_are_compared_all_the_same() -> None:
    """After a whole blob of both was wrong nobody knows whose fault it was: neither's map is believed alone."""
    liar, other = holding("liar", maps=True, maps_lie=True, flip_at=5), holding("other", maps=True)
    digest, distrusted = Digest.of(DATA), Distrusted()
    choice = Failover([[candidate(liar)], [candidate(other)]], distrusted)
    for name in ("liar", "other"):
        distrusted.note(name, digest, "the bytes do not have the digest asked for")
    with pytest.raises(MapsDisputed, match="liar and other differ"):
        await choice.chunk_map(digest, Span(0, 10))


async def test_a_known_liar_is_no_second_opinion_of_one_that_is_not() -> None:
    liar, other = holding("liar", maps=True, maps_lie=True, flip_at=5), holding("other", maps=True)
    digest, distrusted = Digest.of(DATA), Distrusted()
    choice = Failover([[candidate(liar)], [candidate(other)]], distrusted)
    distrusted.note("liar", digest, "chunk 0 does not fit the chunk map")
    assert await choice.chunk_map(digest, Span(0, 10)) == excerpt(map_of(DATA), Span(0, 10))


class Wrong(SimulatedSource):
    """Its maps are none."""

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        raise SourceUnreadable("sent a chunk map that is none", source=self.name)


@pytest.mark.parametrize(("available", "raised"), [(True, MapUnusable), (False, SourceUnavailable)])
async def test_wrong_maps_are_none_only_where_nobody_else_may_have_one(
    available: bool, raised: type[Failure]
) -> None:
    first, second, distrusted = Wrong("first"), Wrong("second"), Distrusted()
    choice = Failover([[candidate(first), candidate(second, available=available)]], distrusted)
    with pytest.raises(raised, match="sent a chunk map that is none"):
        await choice.chunk_map(Digest.of(DATA))
    assert not distrusted.suspects("first", Digest.of(DATA)), "its bytes may be right"


async def test_past_a_full_store_a_whole_blob_needs_no_map() -> None:
    source, store, distrusted = Wrong("parent"), MemoryStore(quota=0), Distrusted()
    digest, fills = source.add(DATA), Fills(store)
    through = PullThrough(store, Failover([[candidate(source)]], distrusted), fills, distrusted.note)
    assert await read(through, digest) == DATA
    with pytest.raises(MapUnusable):
        async with through.open(digest, Span(0, 10)) as reading:
            assert [piece async for piece in in_memory(reading)] == []
    await fills.close()


MIXED = [(SumAlgorithm.SHA256, SumAlgorithm.BLAKE3), (SumAlgorithm.BLAKE3, SumAlgorithm.SHA256)]


@pytest.mark.parametrize("full", [False, True], ids=["kept", "past a full store"])
@pytest.mark.parametrize(("lying", "other"), MIXED, ids=["sha256 lies", "BLAKE3 lies"])
async def test_of_maps_by_two_algorithms_each_chunk_is_held_against_both(
    lying: SumAlgorithm, other: SumAlgorithm, full: bool
) -> None:
    liar = holding("liar", maps=True, maps_lie=True, flip_at=5, sums=lying)
    honest = holding("honest", maps=True, sums=other)
    store, distrusted, digest = MemoryStore(quota=0) if full else MemoryStore(), Distrusted(), Digest.of(DATA)
    choice = Failover([[candidate(liar)], [candidate(honest)]], distrusted)
    fills = Fills(store)
    through = PullThrough(store, choice, fills, distrusted.note, rivals=ParentRivals([], distrusted))
    found = await choice.chunk_map(digest, Span(0, 10))
    assert found is not None and {each.source for each in found.both} == {"liar", "honest"}
    if full:
        with pytest.raises(MapsDisputed, match="chunk 0 fits one of two chunk maps alone"):
            await read(through, digest, Span(0, 10))
    else:
        assert await read(through, digest, Span(0, 10)) == DATA[:10]
    await fills.close()


async def test_past_a_full_store_a_whole_blob_is_had_although_the_map_is_of_other_bytes() -> None:
    source, distrusted, digest = holding("alone", maps=True, maps_lie=True), Distrusted(), Digest.of(DATA)
    source.chunk_map = holding("other", maps=True, maps_lie=True, flip_at=5).chunk_map  # type: ignore[method-assign]
    fills = Fills(store := MemoryStore(quota=0))
    through = PullThrough(store, Failover([[candidate(source)]], distrusted), fills, distrusted.note)
    assert await read(through, digest) == DATA
    with pytest.raises(Failure, match="chunk 0 does not fit the chunk map"):
        await read(through, digest, Span(0, 10))
    await fills.close()


async def test_of_two_suspects_the_one_that_lied_less_is_asked_first() -> None:
    digest, distrusted = Digest.of(DATA), Distrusted()
    choice = Failover([[candidate(holding("liar", flip_at=5))], [candidate(holding("other"))]], distrusted)
    distrusted.note("liar", digest, "the bytes do not have the digest asked for")
    distrusted.put_behind("other", digest)
    async with choice.open(digest) as reading:
        assert reading.provenance.source == "other"
