"""When a second parent is asked beside one that is later than usual."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.content.nest.hedges import SOON, Hedges, soon
from registry_mesh.content.nest.parent_rivals import ParentRivals
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobInfo
from tests.content.nest.test_failover import DATA, Hung, candidate, holding
from tests.simulators.images import SourceRegistry
from tests.simulators.nests import NearParent
from tests.simulators.source import SimulatedSource

DIGEST = Digest.of(DATA)
NEVER = 3600.0


def test_one_that_is_far_away_is_given_its_time() -> None:
    assert soon(0.001, 0.7) == SOON
    assert soon(0.15, 1.2) == 0.6
    assert soon(0.0, 2.0) == 2.0, "nobody knows how far away it is"
    assert soon(0.001, 0.1) == 0.1


def test_a_twentieth_of_what_is_asked_may_be_asked_twice() -> None:
    hedges = Hedges()
    assert sum(hedges.take() for _ in range(100)) == 10
    taken = 0
    for _ in range(1000):
        hedges.asked()
        taken += hedges.take()
    assert 45 <= taken <= 50


def test_beaten_twice_running_is_late() -> None:
    now = [0.0]
    hedges = Hedges(lambda: now[0])
    assert not hedges.beaten("a", "blobs") and not hedges.beaten("a", "tags")
    assert hedges.beaten("a", "blobs")
    hedges.answered("a", "blobs")
    assert not hedges.beaten("a", "blobs")
    now[0] = 31.0
    assert not hedges.beaten("a", "blobs"), "long ago"


async def test_another_is_asked_before_one_is_late_and_twice_running_takes_its_rank() -> None:
    hung, other = Hung("hung", gate=asyncio.Event()), holding("other")
    hung.add(DATA)
    choice = Failover([[candidate(hung, late=NEVER, latency=0.001)], [candidate(other)]], Distrusted())
    async with asyncio.timeout(60):
        for _ in range(2):
            assert (await choice.stat(DIGEST)).size == len(DATA)
        hung.gate.set()  # type: ignore[union-attr]  # it has one
        asked = hung.stats
        assert (await choice.stat(DIGEST)).size == len(DATA)
    assert hung.stats == asked, "it is asked last now"


class Sluggish(SimulatedSource):
    """Takes longer to tell a size than another is waited for."""

    async def stat(self, digest: Digest) -> BlobInfo:
        await asyncio.sleep(2 * SOON)
        return await super().stat(digest)


def spent(distrusted: Distrusted) -> None:
    while distrusted.hedges.take():
        pass


def doubted(distrusted: Distrusted) -> None:
    distrusted.doubt("other", DIGEST)


def was_late(distrusted: Distrusted) -> None:
    distrusted.note_late(["other"], "sizes")


@pytest.mark.parametrize("before", [spent, doubted, was_late])
async def test_where_there_is_no_budget_or_no_good_parent_one_is_waited_for_until_it_is_late(
    before: Callable[[Distrusted], None],
) -> None:
    sluggish, other = Sluggish("sluggish"), holding("other")
    sluggish.add(DATA)
    distrusted = Distrusted()
    before(distrusted)
    choice = Failover([[candidate(sluggish, late=NEVER, latency=0.001)], [candidate(other)]], distrusted)
    assert (await choice.stat(DIGEST)).size == len(DATA)
    assert (sluggish.stats, other.stats) == (1, 0)


def test_one_that_was_beaten_is_nobody_s_rival() -> None:
    """It may hang: a stream is not cut for its sake."""
    distrusted = Distrusted()
    nothing = SourceRegistry()
    rivals = ParentRivals([[NearParent(nothing, name)] for name in ("a", "b")], distrusted)  # type: ignore[list-item]
    assert rivals.rate("a", DIGEST) == 0.0, "nobody knows how fast it is"
    distrusted.hedges.beaten("b", "blobs")
    assert rivals.rate("a", DIGEST) is None
