"""When a second parent is asked beside one that is later than usual. Time is played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.content.nest.hedges import Hedge, Hedges
from registry_mesh.content.nest.parent_rivals import ParentRivals
from registry_mesh.content.nest.race import STOOD
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Reading
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.urgency import unhurried
from tests.content.nest.test_failover import DATA, candidate, holding
from tests.simulators.images import SourceRegistry
from tests.simulators.nests import NearParent
from tests.simulators.played import busy, played
from tests.simulators.source import SimulatedSource
from tests.simulators.unhurried import Unhurried

DIGEST = Digest.of(DATA)
NEVER = 3600.0
SOON = 0.05
MANY = range(2000)


@dataclass
class Takes(SimulatedSource):
    """Takes `seconds` to tell a size, and to open a blob."""

    seconds: float = 0.0
    gives: float = 0.0
    """Seconds until the first bytes of a body."""
    fails: bool = False
    closed: int = 0
    began: list[int] = field(default_factory=list)

    async def stat(self, digest: Digest) -> BlobInfo:
        await asyncio.sleep(self.seconds)
        return await super().stat(digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise SourceUnavailable("has no bytes", source=self.name)
        async with super().open(digest, span) as reading:
            reading.begin = self._begin  # type: ignore[method-assign]
            try:
                yield reading
            finally:
                self.closed += 1

    async def _begin(self, least: int) -> None:
        self.began.append(least)
        await asyncio.sleep(self.gives)


def taking(name: str, seconds: float = 0.0, **more: object) -> Takes:
    source = Takes(name=name, seconds=seconds, **more)  # type: ignore[arg-type]
    source.add(DATA)
    return source


@dataclass(frozen=True)
class Case:
    """What is known of two parents, and whether they may be asked beside each other."""

    first: dict[str, object] = field(default_factory=dict)
    other: dict[str, object] = field(default_factory=dict)
    hedge: Hedge = Hedge.ALIKE


def choice(
    first: SimulatedSource,
    other: SimulatedSource,
    distrusted: Distrusted | None = None,
    case: Case = Case(),  # it is frozen
    late: float = NEVER,
) -> Failover:
    """Two groups of one; the first is later than usual after `SOON`."""
    groups = [[candidate(first, soon=SOON, late=late, **case.first)], [candidate(other, **case.other)]]
    return Failover(groups, distrusted or Distrusted(), hedge=case.hedge)


class Asked(Unhurried):
    """A parent that has received so much."""

    name = "p"

    def __init__(self, received: int = 0) -> None:
        self.received = received


def test_one_request_in_fifty_may_be_asked_twice() -> None:
    hedges = Hedges()
    assert sum(hedges.take("p") for _ in range(100)) == 10, "so many at once, the first pull of all included"
    taken = 0
    for _ in MANY:
        hedges.asked(Asked())  # type: ignore[arg-type]
        taken += hedges.take("p")
    assert taken == len(MANY) // 50


def test_one_byte_in_fifty_may_come_twice() -> None:
    told: list[str] = []
    hedges = Hedges(told=lambda parent, outcome: told.append(outcome))
    assert [hedges.take("p", MIB) for _ in range(5)] == [True] * 4 + [False]
    assert told == ["denied"]
    parent, taken = Asked(), 0
    for _ in MANY:
        for _ in range(50):  # requests are not what lacks
            hedges.asked(parent)  # type: ignore[arg-type]
        parent.received += MIB
        taken += hedges.take("p", MIB)
    assert taken in (len(MANY) // 50 - 1, len(MANY) // 50)


def test_beaten_twice_running_is_late() -> None:
    now = [0.0]
    hedges = Hedges(lambda: now[0])
    assert not hedges.beaten("a", "blobs") and not hedges.beaten("a", "tags")
    assert hedges.beaten("a", "blobs")
    hedges.answered("a", "blobs")
    assert not hedges.beaten("a", "blobs")
    now[0] = 601.0
    assert not hedges.beaten("a", "blobs"), "long ago"


@played
async def test_another_is_asked_soon_and_twice_running_takes_its_rank() -> None:
    hung, other, told = taking("hung", NEVER), taking("other"), []
    distrusted = Distrusted(hedged=lambda *outcome: told.append(outcome))
    failover, loop = choice(hung, other, distrusted), asyncio.get_running_loop()
    for _ in range(2):
        assert (await failover.stat(DIGEST)).size == len(DATA)
    assert loop.time() == pytest.approx(SOON), "the second time another is asked at once"
    hung.seconds = 0.0
    assert (await failover.stat(DIGEST)).size == len(DATA)
    assert hung.stats == 0, "it is asked last now"
    assert told == [("hung", "won")] * 2


@played
async def test_one_that_was_beaten_has_another_beside_it_at_once_until_it_wins() -> None:
    now, hung, other = [0.0], taking("hung", NEVER), taking("other", SOON / 10)
    distrusted = Distrusted(clock=lambda: now[0])
    failover, loop = choice(hung, other, distrusted), asyncio.get_running_loop()
    for _ in range(2):
        await failover.stat(DIGEST)
    now[0] += Distrusted.LATE + 1
    began = loop.time()
    await failover.stat(DIGEST)
    assert loop.time() - began == pytest.approx(SOON / 10), "it has its rank again, and costs nothing"
    assert distrusted.was_late("hung", "sizes"), "nor does it keep it"
    now[0] += Distrusted.LATE + 1
    hung.seconds = 0.0
    for _ in range(2):
        await failover.stat(DIGEST)
    assert (hung.stats, other.stats) == (2, 3)


@pytest.mark.parametrize("gives", [0.0, SOON / 2])
@played
async def test_a_body_of_one_that_was_beaten_is_asked_of_another_at_once_until_it_wins(gives: float) -> None:
    first, other, distrusted = taking("first", gives=NEVER), taking("other", gives=SOON), Distrusted()
    failover, loop = choice(first, other, distrusted), asyncio.get_running_loop()
    async with failover.open(DIGEST, Span(0, 10)) as reading:
        assert reading.provenance.source == "other"
    first.gives, began = gives, loop.time()
    for _ in range(3):
        async with failover.open(DIGEST, Span(0, 10)) as reading:
            assert reading.provenance.source == "first"
    assert loop.time() - began == pytest.approx(3 * gives)
    assert len(other.opened) <= 2, "it has won"


@played
async def test_one_that_answers_after_all_is_the_first() -> None:
    first, other, told = taking("first", 2 * SOON), taking("other", NEVER), []
    distrusted = Distrusted(hedged=lambda *outcome: told.append(outcome))
    assert (await choice(first, other, distrusted).stat(DIGEST)).size == len(DATA)
    assert told == [("first", "lost")]
    assert not distrusted.was_late("first", "sizes")


def spent(distrusted: Distrusted) -> None:
    while distrusted.hedges.take("first"):
        pass


def doubted(distrusted: Distrusted) -> None:
    distrusted.doubt("other", DIGEST)


def was_late(distrusted: Distrusted) -> None:
    distrusted.note_late(["other"], "sizes")
    distrusted.note_late(["other"], "blobs")


def nothing(distrusted: Distrusted) -> None:
    pass


@pytest.mark.parametrize(
    ("before", "case"),
    [
        (spent, Case()),
        (doubted, Case()),
        (was_late, Case()),
        (nothing, Case(hedge=Hedge.NONE)),
        (nothing, Case(other={"spare": False})),
        (nothing, Case(other={"spare": False}, hedge=Hedge.ANY)),
        (nothing, Case({"mesh": True}, {"mesh": False})),
        (nothing, Case({"mesh": True}, {"mesh": None})),
        (nothing, Case(other={"available": False})),
    ],
    ids=["spent", "doubted", "was late", "none", "throttled", "any", "past the mesh", "unknown", "down"],
)
@played
async def test_none_is_hurried_to(before: Callable[[Distrusted], None], case: Case) -> None:
    """The first is waited for until it is late."""
    first, other, distrusted = taking("first", 4 * SOON), taking("other"), Distrusted()
    before(distrusted)
    failover = choice(first, other, distrusted, case)
    assert (await failover.stat(DIGEST)).size == len(DATA)
    async with failover.open(DIGEST, Span(0, 10)) as reading:
        assert reading.provenance.source == "first"
    assert (first.stats, other.stats, len(other.opened)) == (1, 0, 0)


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        Case({"mesh": False}),
        Case({"mesh": True}, {"mesh": True}),
        Case({"mesh": True}, hedge=Hedge.ANY),
    ],
    ids=["unknown", "plain", "of the mesh", "any"],
)
@played
async def test_another_of_its_kind_is(case: Case) -> None:
    first, other = taking("first", NEVER), taking("other")
    assert (await choice(first, other, case=case).stat(DIGEST)).size == len(DATA)
    assert other.stats == 1


@played
async def test_none_is_for_what_nobody_waits_for() -> None:
    first, other = taking("first", 4 * SOON, gives=4 * SOON), taking("other")
    failover = choice(first, other)
    with unhurried():
        assert (await failover.stat(DIGEST)).size == len(DATA)
        async with failover.open(DIGEST, Span(0, 10)) as reading:
            assert reading.provenance.source == "first"
    assert (other.stats, len(other.opened)) == (0, 0)


@played
async def test_time_in_which_the_process_stood_still_is_not_counted() -> None:
    first, other = taking("first", 1.5 * SOON, gives=1.5 * SOON), taking("other")
    failover, loop = choice(first, other), asyncio.get_running_loop()
    loop.call_later(0.5 * SOON, busy, SOON + STOOD)
    assert (await failover.stat(DIGEST)).size == len(DATA)
    first.seconds = 0.0
    loop.call_later(0.5 * SOON, busy, SOON + STOOD)
    async with failover.open(DIGEST, Span(0, 10)) as reading:
        assert reading.provenance.source == "first"
    assert (other.stats, len(other.opened)) == (0, 0)


# -- bodies whose head has come ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("span", "heads"), [(None, 1), (Span(0, 2 * MIB), 1), (Span(5, MIB), 0)])
@played
async def test_a_body_that_does_not_begin_is_had_from_another(span: Span | None, heads: int) -> None:
    """Of a large one the other tells first that it answers."""
    first, other, told = taking("first", gives=NEVER), taking("other"), []
    distrusted = Distrusted(hedged=lambda *outcome: told.append(outcome))
    async with choice(first, other, distrusted).open(DIGEST, span) as reading:
        assert reading.provenance.source == "other"
        assert first.closed == 1, "it is hung up"
        assert asyncio.get_running_loop().time() == pytest.approx(SOON)
    assert (other.stats, other.closed, told) == (heads, 1, [("first", "won")])


@played
async def test_twice_running_takes_its_rank_for_blobs() -> None:
    first, other, distrusted = taking("first", gives=NEVER), taking("other"), Distrusted()
    failover = choice(first, other, distrusted)
    rivals = ParentRivals([[NearParent(SourceRegistry(), "first")]], distrusted)  # type: ignore[list-item]
    for _ in range(3):
        async with failover.open(DIGEST, Span(0, 10)) as reading:
            assert reading.provenance.source == "other"
        assert rivals.rate("other", DIGEST) is None, "no stream is cut for its sake"
    assert len(first.opened) == 2
    assert asyncio.get_running_loop().time() == pytest.approx(SOON), (
        "the second time another is asked at once"
    )


@pytest.mark.parametrize(
    "other",
    [
        taking("other", fails=True),
        taking("other", NEVER),
        taking("other", gives=NEVER),
        holding("other", None),
        SimulatedSource(name="other", blobs={DIGEST: DATA + b"more"}),
    ],
    ids=["fails", "hangs", "hangs after its head", "lacks it", "has another size"],
)
@played
async def test_where_the_other_does_no_better_the_first_goes_on(other: SimulatedSource) -> None:
    first, told = taking("first", gives=10 * SOON), []
    distrusted = Distrusted(hedged=lambda *outcome: told.append(outcome))
    async with choice(first, other, distrusted, late=20 * SOON).open(DIGEST, Span(0, 10)) as reading:
        assert reading.provenance.source == "first"
        assert first.closed == 0
        assert b"".join([data async for data in in_memory(reading)]) == DATA[:10]
    assert told == [("first", "lost")]
    assert not isinstance(other, Takes) or other.closed == len(other.opened)


@played
async def test_two_that_hang_hold_nobody_for_longer_than_one_is_late() -> None:
    first, other = taking("first", gives=NEVER), taking("other", gives=NEVER)
    async with choice(first, other, late=10 * SOON).open(DIGEST, Span(0, 10)) as reading:
        assert reading.provenance.source == "first", "who receives it cuts it, by his own measure"
    assert asyncio.get_running_loop().time() == pytest.approx(11 * SOON)


@played
async def test_none_is_asked_where_the_first_is_left_as_soon() -> None:
    """Whoever receives it sees to that, once it has it."""
    first, other = taking("first", gives=NEVER), taking("other")
    async with choice(first, other, case=Case({"hush": SOON})).open(DIGEST, Span(0, 10)) as reading:
        assert reading.provenance.source == "first"
    assert (asyncio.get_running_loop().time(), first.began) == (0.0, [])


@played
async def test_one_that_is_cancelled_leaves_nothing_open() -> None:
    first, other = taking("first", gives=NEVER), taking("other", gives=NEVER)

    async def opens() -> None:
        async with choice(first, other).open(DIGEST, Span(0, 10)):
            pass

    opening = asyncio.ensure_future(opens())
    await asyncio.sleep(2 * SOON)
    opening.cancel()
    await asyncio.wait([opening])
    assert (first.closed, other.closed) == (1, 1)


def test_one_that_was_beaten_is_nobody_s_rival() -> None:
    """It may hang: a stream is not cut for its sake."""
    distrusted = Distrusted()
    registry = SourceRegistry()
    rivals = ParentRivals([[NearParent(registry, name)] for name in ("a", "b")], distrusted)  # type: ignore[list-item]
    assert rivals.rate("a", DIGEST) == 0.0, "nobody knows how fast it is"
    distrusted.hedges.beaten("b", "blobs")
    assert rivals.rate("a", DIGEST) is None


def test_what_another_process_has_seen_counts() -> None:
    distrusted = Distrusted()
    seen = SimpleNamespace(name="p", outrun=lambda what: what == "tags")
    assert distrusted.is_slow(seen, "tags")  # type: ignore[arg-type]
    assert not distrusted.is_slow(seen, "blobs")  # type: ignore[arg-type]
