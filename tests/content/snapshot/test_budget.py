"""`budget`: how many bytes flow, in a second, an hour, a day."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from registry_mesh.content.snapshot.flow import Grant, Spending
from registry_mesh.stores.memory.store import MemoryStore
from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_rule_keys import digests, replica_of, troubles
from tests.simulators.images import random_bytes
from tests.simulators.replica import Replica

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


@pytest.mark.parametrize("budget", ["0%", "0MiB/s", "0MiB/d"])
async def test_a_budget_of_nothing_is_named_with_its_rule(budget: str) -> None:
    replica = with_image(f"repos: a, tags: v1, budget: {budget}")
    replica.rate = 1e6
    outcome = await replica.run()
    assert (await digests(replica), replica.source.sent) == ({}, 0)
    assert any("waits: the budget of rule r0 is" in note for note in outcome.notes)


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
