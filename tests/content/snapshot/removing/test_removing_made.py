"""What becomes of tags under other names that no source makes any more."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from registry_mesh.content.snapshot.removing.removed import APPROVED
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.failures import SourceUnavailable
from tests.content.snapshot.planning import planned
from tests.content.snapshot.removing.test_removing import ALL, at, drop
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, digests, replica_of, troubles
from tests.simulators.cloud import CLOUD
from tests.simulators.images import HOST
from tests.simulators.places import MemoryCloud
from tests.simulators.replica import Replica

WEEK = 'repos: "lib/*", tags: "*", to: "base/{base}", delete: 7d'


async def filled(*rules: str, count: int = 3, more: str = ALL) -> Replica:
    replica = replica_of(*rules, more=more)
    for number in range(count):
        replica.source["lib/a"].image(f"a{number}", f"t{number}")
    assert (await replica.run()).complete
    return replica


async def test_a_target_goes_after_its_grace_when_its_source_is_gone() -> None:
    replica = await filled(WEEK)
    drop(replica, "t0", name="lib/a")
    assert (await at(replica, 1)).deleted == 0
    assert any("is deleted 1970-01-13 00:00 UTC" in each for each in (await at(replica, 7.9)).notes)
    outcome = await at(replica, 8)
    assert (outcome.complete, outcome.deleted) == (True, 1)
    assert set(await digests(replica, "base/a")) == {"t1", "t2"}
    assert ((await at(replica, 9)).deleted, (await at(replica, 30)).deleted) == (0, 0)


async def test_without_delete_it_stays() -> None:
    replica = await filled(WEEK.replace(", delete: 7d", ""))
    drop(replica, "t0", name="lib/a")
    await at(replica, 1)
    assert (await at(replica, 100)).deleted == 0
    assert set(await digests(replica, "base/a")) == {"t0", "t1", "t2"}


@pytest.mark.parametrize("to", ["", ', to: "base/{base}"'], ids=["own name", "other name"])
async def test_what_goes_at_once_goes_with_the_first_run_though_time_passes_in_it(to: str) -> None:
    replica = await filled(f'repos: "lib/*", tags: "*", delete: 0s{to}')
    replica.clock = count(replica.now, 0.001).__next__
    drop(replica, "t0", name="lib/a")
    outcome = await replica.run()
    assert (outcome.complete, outcome.deleted) == (True, 1), outcome.notes


async def test_tags_that_come_together_are_equally_new_though_one_comes_under_more_names() -> None:
    keep = 'repos: "lib/*", tags: "*", to: ["{repo}", "base/{base}"], keep: {newest: 1, by: seen}, delete: 0s'
    more = 'repos: "lib/*", tags: b, to: "zoo/{base}"'
    replica = replica_of(keep, more, more=ALL)
    replica.clock = count(replica.now, 0.001).__next__
    for tag in ("a", "b"):
        replica.source["lib/a"].image(tag, tag)
    await replica.run()
    first = set(await digests(replica, "base/a"))
    outcome = await replica.run()
    assert (outcome.deleted, set(await digests(replica, "base/a"))) == (0, first), outcome.notes


async def test_what_another_source_makes_too_stays() -> None:
    replica = replica_of(WEEK, 'repos: other, tags: t0, to: "base/a"', more=ALL)
    image = replica.source["lib/a"].image("same", "t0")
    replica.source["lib/a"].image("rest", "t1")
    same = replica.source["other"].image("same", "t0")
    assert same.digest == image.digest
    assert (await replica.run()).complete
    drop(replica, "t0", name="lib/a")
    await at(replica, 1)
    assert (await at(replica, 30)).deleted == 0
    drop(replica, "t0", name="other")
    replica.source["other"].image("rest", "t9")
    await at(replica, 31)
    assert set(await digests(replica, "base/a")) == {"t0", "t1"}  # the second rule says nothing of deletions


async def test_another_name_and_a_rule_that_is_gone_leave_the_old_one_unselected() -> None:
    replica = await filled(WEEK)
    replica.rules = replica_of(WEEK.replace("base/", "cern/"), more=ALL).rules
    await at(replica, 1)
    assert set(await digests(replica, "cern/a")) == {"t0", "t1", "t2"}
    assert (await at(replica, 7.9)).deleted == 0
    assert (await at(replica, 8)).deleted == 3
    assert await digests(replica, "base/a") == {}
    vanished = f"defaults: {{delete: {{gone: 1d, unselected: 5d}}}}\n{ALL}"
    replica.rules = replica_of("repos: nothing, tags: x", more=vanished).rules
    await at(replica, 9)
    assert (await at(replica, 13.9)).deleted == 0
    assert (await at(replica, 14)).deleted == 3


async def test_keep_lets_older_ones_go() -> None:
    replica = replica_of(WEEK.replace('"*"', '"semver: *"') + ", keep: 1", more=ALL)
    replica.source["lib/a"].image("one", "1.0")
    await replica.run()
    replica.source["lib/a"].image("two", "2.0")
    await at(replica, 1)
    assert set(await digests(replica, "base/a")) == {"1.0", "2.0"}
    assert (await at(replica, 8)).deleted == 1
    assert set(await digests(replica, "base/a")) == {"2.0"}


@pytest.mark.parametrize("fault", ["listing", "empty", "repository", "denied to say"])
async def test_a_source_that_says_nothing_is_no_deletion(fault: str) -> None:
    replica = await filled(WEEK)
    if fault == "listing":
        replica.source.always["tags"] = SourceUnavailable("answered 503")
    elif fault == "empty":
        drop(replica, "t0", "t1", "t2", name="lib/a")
    elif fault == "repository":
        del replica.source.content["lib/a"]  # type: ignore[arg-type]
    else:
        drop(replica, "t0", name="lib/a")
        replica.source.always["resolve"] = SourceUnavailable("answered 503")
    await at(replica, 1)
    assert (await at(replica, 100)).deleted == 0
    assert set(await digests(replica, "base/a")) == {"t0", "t1", "t2"}


async def test_hold_keeps_it_though_its_rule_is_gone_and_what_is_denied_goes_at_once() -> None:
    replica = await filled(WEEK + ", hold: forever")
    vanished = f"defaults: {{delete: 1d}}\n{ALL}"
    replica.rules = replica_of("repos: nothing, tags: x", more=vanished).rules
    await at(replica, 1)
    assert (await at(replica, 50)).deleted == 0
    deny = 'deny: [{from: registry.example, repos: "lib/*", tags: t1, note: bad}]\n'
    replica.rules = replica_of(WEEK + ", hold: forever", more=deny).rules
    outcome = await at(replica, 51)
    assert outcome.deleted == 1
    assert any("lib/a:t1 is denied: bad" in each for each in outcome.notes)
    assert set(await digests(replica, "base/a")) == {"t0", "t2"}


async def test_beyond_the_guard_nothing_goes_before_a_person_approves() -> None:
    replica = await filled(WEEK, count=20, more="")
    drop(replica, *(f"t{n}" for n in range(10)), name="lib/a")
    await at(replica, 1)
    outcome = await at(replica, 8)
    (stopped,) = outcome.stopped
    assert (outcome.deleted, stopped.deletes, stopped.tags) == (0, 10, 20)
    await replica.blobs.records.put(APPROVED, f'{{"digest": "{stopped.plan}"}}'.encode())
    assert (await at(replica, 9)).deleted == 10


async def test_a_tag_that_comes_back_is_made_again() -> None:
    replica = await filled(WEEK)
    image = replica.source["lib/a"].manifests[replica.source["lib/a"].tags[Tag("t0")]]
    drop(replica, "t0", name="lib/a")
    await at(replica, 1)
    assert (await at(replica, 8)).deleted == 1
    replica.source["lib/a"].tags[Tag("t0")] = image.digest
    outcome = await at(replica, 9)
    assert (troubles(outcome), (await digests(replica, "base/a"))["t0"]) == ([], image.digest)
    drop(replica, "t0", name="lib/a")
    assert (await at(replica, 10)).deleted == 0
    assert (await at(replica, 17)).deleted == 1


@pytest.mark.parametrize("there", ["here", "out"])
@pytest.mark.parametrize("what", ["gone", "unselected", "denied", "untold", "made twice", "held"])
async def test_a_plan_shows_what_a_run_then_deletes_under_other_names(
    what: str, there: str, tmp_path: Path
) -> None:
    to = '"base/{base}"' if there == "here" else f'{{registry: {CLOUD}, name: "base/{{base}}"}}'
    rule = f'repos: "lib/*", tags: "*", to: {to}, delete: 7d'
    other = f'repos: other, tags: "*", to: {to.replace("{base}", "a")}, delete: 7d'
    hold = f"{rule}, hold: forever" if what == "held" else rule
    replica = replica_of(hold, other, more=ALL)
    cloud = MemoryCloud()
    replica.outward = cloud
    for number in range(3):
        replica.source["lib/a"].image(f"a{number}", f"t{number}")
    replica.source["other"].image(
        "a0" if what == "made twice" else "b", "t0" if what == "made twice" else "b"
    )
    await replica.run()
    if what != "unselected":
        drop(replica, "t0", name="lib/a")
    written = {
        "unselected": (rule.replace('tags: "*"', 'tags: ["*", "!t0"]'), other, ALL),
        "denied": (rule, other, f"{ALL}deny: [{{from: {HOST}, repos: lib/a, tags: t0}}]\n"),
    }.get(what, (rule, other, ALL))
    replica.rules = replica_of(*written[:2], more=written[2]).rules
    if what == "untold":
        replica.source.content["lib/a"].tags.clear()
    ends = {}
    for day in (1, 7.9, 8):
        replica.now = MONDAY + day * DAY
        made = await planned(replica, tmp_path)
        ends[day] = [step.to.rpartition("/")[2] for step in made.steps if step.do == "delete"]
        outcome = await at(replica, day)
        assert outcome.deleted == len(ends[day]), (day, outcome.notes)
    goes = {"gone": (8,), "unselected": (8,), "denied": (1,)}.get(what, ())
    assert ends == {day: ["a:t0"] if day in goes else [] for day in ends}
