"""Several parents that sent parts of what was wrong: nobody knows which of them lied, until it comes of one alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource, Reading
from registry_mesh.ports.failures import SourceLied, SourceUnavailable
from registry_mesh.stores.memory.store import MemoryStore
from tests.content.nest.test_failover import DATA, candidate, holding
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import read

DIGEST = Digest.of(DATA)
FIRST, LAST = 5, len(DATA) - 5
CUT = 2_000_000


@pytest.fixture
def distrusted() -> Distrusted:
    seconds: Iterator[int] = count(1)
    return Distrusted(clock=lambda: next(seconds) / 1000)


class Fleeting(SimulatedSource):
    """Its streams break off; while they do, it gives nothing but beginnings."""

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        if self.cut_every is not None and span is not None and span.start:
            raise SourceUnavailable("gives beginnings alone", source=self.name)
        async with super().open(digest, span) as reading:
            yield reading


def fleeting(**knobs: int) -> Fleeting:
    source = Fleeting(name="first", cut_every=CUT, **knobs)  # type: ignore[arg-type]
    source.add(DATA)
    return source


def lies(distrusted: Distrusted) -> list[int]:
    return [distrusted.lies(name, DIGEST) for name in ("first", "second")]


async def pulled(store: MemoryStore, source: BlobSource, distrusted: Distrusted) -> bytes:
    fills = Fills(store, FillPolicy())
    try:
        through = PullThrough(store, source, fills, distrusted.note, doubt=distrusted.doubt)
        return await read(through, DIGEST)
    finally:
        await fills.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (fleeting(flip_at=FIRST), holding("second")),
        (fleeting(), holding("second", flip_at=LAST)),
    ],
    ids=["the first lies and breaks off", "the second lies behind one that breaks off"],
)
async def test_the_whole_comes_of_one_alone_which_is_right_or_convicted(
    distrusted: Distrusted, first: SimulatedSource, second: SimulatedSource
) -> None:
    choice, store = Failover([[candidate(first)], [candidate(second)]], distrusted), MemoryStore()
    with pytest.raises(SourceLied) as lied:
        await pulled(store, choice, distrusted)
    assert lied.value.source == "first, second" and lies(distrusted) == [0, 0]
    first.opened.clear()
    if second.flip_at is None:
        assert await pulled(store, choice, distrusted) == DATA
        assert not first.opened and lies(distrusted) == [0, 0]
        return
    with pytest.raises(SourceLied):
        await pulled(store, choice, distrusted)
    assert not first.opened and lies(distrusted) == [0, 1], "it sent all of it"
    first.cut_every = None
    assert await pulled(store, choice, distrusted) == DATA


def test_each_is_asked_first_in_turn_and_in_the_end_all_are_liars(distrusted: Distrusted) -> None:
    choice = Failover([[candidate(holding("first"))], [candidate(holding("second"))]], distrusted)

    def order() -> list[str]:
        return [each.parent.name for each in choice._first.order(DIGEST)[0]]

    distrusted.note("first, second", DIGEST, "wrong")
    assert order() == ["first", "second"] and lies(distrusted) == [0, 0]
    distrusted.note("first, second", DIGEST, "wrong")
    assert order() == ["second", "first"] and lies(distrusted) == [0, 0]
    distrusted.note("first, second", DIGEST, "wrong")
    assert lies(distrusted) == [1, 1]
    distrusted.note("first, second", DIGEST, "wrong")
    assert order() == [], "moved in vain often enough"


def test_one_that_broke_off_is_asked_after_the_one_that_went_on(distrusted: Distrusted) -> None:
    distrusted.doubt("first", DIGEST)
    distrusted.note("first, second", DIGEST, "wrong")
    assert distrusted.blemish("second", DIGEST) < distrusted.blemish("first", DIGEST)
