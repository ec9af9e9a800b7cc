"""`budget`: how many bytes flow, in a second, an hour, a day."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.via import Via
from registry_mesh.content.snapshot.copying.flow import Flow, Grant, OutsideWindow, PacedBlobs, Spending
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.urgency import unhurried
from registry_mesh.stores.memory.store import MemoryStore
from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_rule_keys import digests, replica_of, troubles
from tests.eventually import eventually
from tests.simulators.images import HOST, random_bytes
from tests.simulators.replica import Replica
from tests.simulators.source import SimulatedSource

HOUR, LAYER = 3600.0, 1_000_000
ALL = LAYER + 4_000


def with_image(*rules: str, fill: bool = True) -> Replica:
    replica = replica_of(*rules)
    replica.fill = fill
    replica.source["a"].image("one", "v1", layers=[random_bytes("layer", LAYER)])
    return replica


@pytest.mark.parametrize(
    ("budget", "rate", "seconds"),
    [
        ("100KiB/s", None, ALL / 102400),
        ("10%", 1000 * 1024, ALL / 102400),
        ("[10%, 20KiB/s, 1GiB/h]", 1000 * 1024, ALL / 20480),
        ("", None, 0),
        ("", 102400, ALL / 102400),
    ],
)
@pytest.mark.parametrize("fill", [False, True])
async def test_bytes_come_no_faster(budget: str, rate: float | None, seconds: float, fill: bool) -> None:
    replica = with_image("repos: a, tags: v1" + (f", budget: {budget}" if budget else ""), fill=fill)
    replica.rate = rate
    outcome = await replica.run()
    assert (troubles(outcome), set(await digests(replica))) == ([], {"v1"})
    assert seconds * 0.95 <= replica.slept <= seconds * 1.05


async def test_two_rules_of_one_registry_each_have_their_own() -> None:
    replica = with_image("repos: a, tags: v1, budget: 100KiB/s", "repos: b, tags: v1, budget: 1KiB/s")
    replica.source["b"].image("two", "v1")
    assert troubles(await replica.run()) == []
    assert ALL / 102400 * 0.95 <= replica.slept <= ALL / 102400 * 1.05 + 5


async def test_an_hour_s_volume_stops_a_blob_which_goes_on_an_hour_later(tmp_path: Path) -> None:
    replica = with_image("repos: a, tags: v1, budget: 600KiB/h")
    plan = await planned(replica, tmp_path)
    first = await replica.run()
    assert (troubles(first), await digests(replica)) == ([], {})
    assert any("waits: the budget of rule r0 is spent: 600.0 KiB/h" in note for note in first.notes)
    sent = replica.source.sent
    assert 600 * 1024 <= sent < 604 * 1024
    replica.now += HOUR / 2
    await replica.run()
    assert (replica.source.sent, await digests(replica)) == (0, {})
    replica.now += HOUR / 2 + 61
    assert troubles(await replica.run()) == []
    assert set(await digests(replica)) == {"v1"}
    assert replica.source.sent + sent <= size(plan) + (128 << 10)


async def test_a_rule_without_a_budget_pays_for_what_both_take() -> None:
    replica = with_image("repos: a, tags: v1, budget: 1KiB/d", "repos: a, tags: v1")
    assert troubles(await replica.run()) == []
    assert set(await digests(replica)) == {"v1"}


async def test_a_budget_does_not_stop_what_is_here() -> None:
    replica = with_image("repos: a, tags: v1")
    await replica.run()
    replica.rules = replica_of("repos: a, tags: v1, budget: 1KiB/d").rules
    outcome = await replica.run()
    assert (outcome.complete, outcome.notes, outcome.held) == (True, (), 1)


async def test_a_run_that_is_killed_forgets_no_more_than_ten_seconds_of_what_it_spent() -> None:
    (rule,) = replica_of("repos: a, tags: v1, budget: 1MiB/h").rules
    records, ticks = MemoryStore().records, [0.0]

    async def sleep(seconds: float) -> None:
        ticks[0] += seconds

    def spending() -> Spending:
        return Spending([rule], Grant(None, lambda: ticks[0], sleep), records, lambda: HOUR)

    killed = spending()
    await killed.take(rule, 900_000)
    ticks[0] += 11
    await killed.take(rule, 200_000)
    following = spending()
    await following.load()
    assert following.closed(rule) == "the budget of rule r0 is spent: 1.0 MiB/h"


async def test_what_counts_no_more_is_not_kept() -> None:
    (rule,) = replica_of("repos: a, tags: v1, budget: 1MiB/h").rules
    records, now = MemoryStore().records, [HOUR]
    grant = Grant(None, lambda: 0.0, asyncio.sleep)
    spending = Spending([rule], grant, records, lambda: now[0])
    await spending.take(rule, 1)
    await spending.flush()
    now[0] += 3 * 24 * HOUR
    await spending.flush()
    assert await records.get("receipts/spent.json") == b"{}"


async def test_a_blob_of_two_tags_goes_on_by_the_rule_of_the_other_when_one_has_spent_its_own() -> None:
    replica = with_image("repos: a, tags: v1, budget: 600KiB/h", "repos: b, tags: v1")
    image = replica.source["b"].image("other", "v1", layers=[random_bytes("layer", LAYER)])
    assert troubles(await replica.run()) == []
    assert await digests(replica, "b") == {"v1": image.digest}


async def test_a_clock_that_was_ahead_closes_no_budget_when_it_is_right_again() -> None:
    replica = with_image("repos: a, tags: v1, budget: 600KiB/h")
    replica.now += 365 * 24 * HOUR
    assert any("is spent" in note for note in (await replica.run()).notes)
    replica.now -= 365 * 24 * HOUR
    assert troubles(await replica.run()) == []
    assert set(await digests(replica)) == {"v1"}


@pytest.mark.parametrize("midnight", ["2026-11-30", "2027-03-28", "2027-10-31", "2027-03-01"])
async def test_a_budget_of_a_day_is_of_any_24_hours_whatever_the_calendar_says(midnight: str) -> None:
    """Over a midnight, the days of 23 and 25 hours, and the end of February."""
    replica = with_image("repos: a, tags: v1, budget: 600KiB/d")
    spent = datetime.fromisoformat(midnight).replace(tzinfo=ZoneInfo("Europe/Zurich")).timestamp() - HOUR
    replica.now = spent
    assert any("is spent" in note for note in (await replica.run()).notes)
    for later in (2, 12, 23.9):
        replica.now = spent + later * HOUR
        assert any("is spent" in note for note in (await replica.run()).notes), later
    replica.now = spent + 24.5 * HOUR
    assert troubles(await replica.run()) == []
    assert set(await digests(replica)) == {"v1"}


class Paced:
    """A run that brings a blob at 1 KiB/s, and stands still at the first piece that has to wait."""

    def __init__(self) -> None:
        self.data = random_bytes("layer", 4 * LAYER)
        self.source, self.store = SimulatedSource(), MemoryStore()
        self.digest = self.source.add(self.data)
        self.fills = Fills(self.store, FillPolicy(complete_after=0))
        self.waits, self.closed, self.waited = asyncio.Event(), asyncio.Event(), 0
        (rule,) = replica_of("repos: a, tags: v1, budget: 1KiB/s").rules
        grant = Grant(None, lambda: 0.0, self._sleep)
        self._flow = Flow(Spending([rule], grant, self.store.records, lambda: HOUR), (rule,))

    async def _sleep(self, seconds: float) -> None:
        self.waited += 1
        self.waits.set()
        await self.closed.wait()

    def _open(self) -> Flow:
        if self.closed.is_set():
            raise OutsideWindow("no window of its rules is open")
        return self._flow

    async def run(self) -> int:
        with unhurried():
            return await self.follow(PacedBlobs(self.source, self._open))

    async def follow(self, blobs: BlobSource) -> int:
        """Gives how many bytes were read."""
        via = Via(HOST, blobs, lambda name, digest, why: None)
        fill = await self.fills.join(self.digest, via, None)
        return sum([len(piece) async for piece in fill.follow(Span(0, fill.size), via)])

    def is_hurried(self) -> bool:
        fill = self.fills.get(self.digest)
        return fill is not None and not any(each.urgency.background for each in fill.transfers)


async def test_a_client_that_comes_to_wait_does_not_wait_for_the_budget_of_a_run() -> None:
    """Nor is its stream cut where the window closes in which the run began."""
    paced = Paced()
    run = asyncio.create_task(paced.run())
    await paced.waits.wait()
    client = asyncio.create_task(paced.follow(paced.source))
    await eventually(paced.is_hurried, "the client to be known")
    paced.closed.set()
    assert await client == await run == len(paced.data)
    assert paced.waited == 1
    await paced.fills.close()


async def test_nor_does_a_client_of_another_process_but_for_the_piece_under_way() -> None:
    paced = Paced()
    run = asyncio.create_task(paced.run())
    await paced.waits.wait()
    async with paced.store.hold(paced.digest, len(paced.data)) as elsewhere:
        elsewhere.want(len(paced.data) // CHUNK)
        paced.closed.set()
        assert await run == len(paced.data)
    await paced.fills.close()
