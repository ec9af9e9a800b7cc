"""What becomes of a tag is decided for each of its names by the rules that make it, by plans as by runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_mesh.oci.reference import Tag
from tests.content.snapshot.finding.test_verify import TEAM
from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, digests, replica_of, troubles
from tests.simulators.images import HOST, random_bytes
from tests.simulators.places import MemoryCloud
from tests.simulators.replica import Replica

ALL = "guard: 100%\n"
OTHER = 'repos: a, tags: v1, to: "b"'


async def both(replica: Replica, folder: Path) -> list[str]:
    """What the plan writes, as the run does: bytes, and what is refused."""
    plan = await planned(replica, folder)
    outcome = await replica.run()
    assert outcome.size == size(plan)
    assert set(troubles(outcome)) == {each.because for each in plan.refused}
    assert (await planned(replica, folder)).steps == []
    return [step.to for step in plan.steps if step.do != "delete"]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("max: 1KiB", "1.0 KiB are allowed"),
        ("verify: team", "is not signed by team"),
        ("age: 3d", None),
        ("types: chart", None),
    ],
)
async def test_what_guards_one_name_holds_up_no_other(key: str, why: str | None, tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, {key}", OTHER)
    replica.signers = {}
    replica.source["a"].image("one", "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/b:v1"]
    assert (await digests(replica), set(await digests(replica, "b"))) == ({}, {"v1"})
    assert why is None or any(why in each.because for each in (await planned(replica, tmp_path)).refused)


async def test_what_is_fixed_under_one_name_moves_under_another(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1, fixed: v1", OTHER)
    replica.source["a"].image("one", "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1", f"{HOST}/b:v1"]
    replica.source["a"].image("two", "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/b:v1"]


async def test_each_name_gets_the_platforms_of_its_own_rules(tmp_path: Path) -> None:
    replica = replica_of(
        "repos: a, tags: v1, platforms: [linux/amd64], max: 9KiB", f"{OTHER}, platforms: [linux/arm64]"
    )
    content = replica.source["a"]
    large = content.image("arm", layers=[random_bytes("arm", 20_000)])
    content.index({"linux/amd64": content.image("amd"), "linux/arm64": large}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1", f"{HOST}/b:v1"]


async def test_a_name_is_made_by_the_rules_that_keep_its_tag_alone(tmp_path: Path) -> None:
    kept = 'repos: a, tags: "semver: *", keep: 1, to: "b"'
    replica = replica_of(kept, 'repos: a, tags: "semver: *", to: "b:{tag}-x"')
    for tag in ("1.0", "2.0"):
        replica.source["a"].image(tag, tag)
    names = ["1.0-x", "2.0", "2.0-x"]
    assert await both(replica, tmp_path) == [f"{HOST}/b:{name}" for name in names]
    assert sorted(await digests(replica, "b")) == names


async def test_tags_of_another_destination_are_neither_asked_for_nor_told() -> None:
    replica = replica_of('repos: a, tags: "*", to: "m/{tag}", max: 1KiB')
    for tag in ("v1", "v2", "v3"):
        replica.source["a"].image(tag, tag)
    outcome = await replica.run()
    assert len(troubles(outcome)) == 3
    assert replica.source.asked["resolve"] == 3


async def test_a_signature_gets_none_of_the_names_of_its_image() -> None:
    replica = replica_of(
        'repos: a, tags: ["*", "!sha256-*"], to: "m:latest", priority: high',
        'repos: a, tags: "*", age: 3d, to: "m:latest"',
    )
    image = replica.source["a"].image("one", "v1")
    TEAM.tag(replica.source["a"], image)
    replica.now = MONDAY
    await replica.run()
    replica.now += 9 * DAY
    await replica.run()
    assert (await digests(replica, "m")).get("latest") in (None, image.digest)


async def test_a_rule_that_does_not_take_a_kind_does_not_guard_it(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1", "repos: a, tags: v1, types: chart, fixed: v1, age: 3d")
    for seed in ("one", "two"):
        replica.source["a"].image(seed, "v1")
        assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_labels_count_of_all_platforms_that_any_rule_wants(tmp_path: Path) -> None:
    replica = replica_of(
        "repos: a, tags: v1, platforms: [linux/amd64], max: 30KiB",
        "repos: a, tags: v1, labels: {tier: prod}",
    )
    content = replica.source["a"]
    large = content.image("arm", layers=[random_bytes("arm", 40_000)])
    content.index({"linux/amd64": content.image("amd", labels={"tier": "prod"}), "linux/arm64": large}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]
    assert not await replica.has("a", large)


async def test_what_is_here_is_judged_by_rules_that_come_later(tmp_path: Path) -> None:
    """A run looks at nothing twice: what it found of an image when it came is noted."""
    replica = replica_of("repos: a, tags: v1, delete: 0s, max: 1MiB, types: image", more=ALL)
    replica.source["a"].image("one", "v1", layers=[random_bytes("one", 9_000)])
    assert (await replica.run()).complete
    replica.rules = replica_of("repos: a, tags: v1, max: 1KiB").rules
    assert await both(replica, tmp_path) == []
    assert "are allowed: not taken" in troubles(await replica.run())[0]
    replica.rules = replica_of("repos: a, tags: v1, delete: 0s, types: chart", more=ALL).rules
    (step,) = (await planned(replica, tmp_path)).steps
    assert (step.do, step.rules) == ("delete", ("r0",))
    assert (await replica.run()).deleted == 1


async def test_a_size_is_that_of_the_blobs_for_plans_and_runs(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1, max: 4070B")
    image = replica.source["a"].image("x", "v1")
    whole = sum(blob.size for blob in image.blobs())
    replica.rules = replica_of(f"repos: a, tags: v1, max: {whole}B").rules
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_a_deletion_is_told_by_the_rule_whose_tag_goes(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: '*', delete: 0s", more=ALL)
    for tag in ("v1", "v2"):
        replica.source["a"].image(tag, tag)
    await replica.run()
    del replica.source["a"].tags[Tag("v1")]
    (step,) = (await planned(replica, tmp_path)).steps
    assert (step.do, step.to, step.rules) == ("delete", f"{HOST}/a:v1", ("r0",))


async def test_what_is_held_of_repositories_that_no_rule_takes_is_planned_to_go(tmp_path: Path) -> None:
    gone = "defaults: {delete: {unselected: 0s}}\n"
    replica = replica_of("repos: '*', tags: '*'", more=ALL + gone)
    for name in ("a", "b"):
        replica.source[name].image(name, "v1")
    await replica.run()
    replica.rules = replica_of("repos: a, tags: '*'", more=ALL + gone).rules
    del replica.source.content["b"]  # type: ignore[arg-type]  # a plan has no listing of it
    assert [(s.do, s.to) for s in (await planned(replica, tmp_path)).steps] == [("delete", f"{HOST}/b:v1")]
    assert (await replica.run()).deleted == 1


async def test_what_is_remembered_counts_for_age_in_a_plan(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1, age: 3d")
    replica.source["a"].image("one", "v1")
    assert await both(replica, tmp_path) == []
    replica.now += 4 * DAY
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_blobs_that_no_tag_names_any_more_are_not_planned_again(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1")
    shared = random_bytes("shared", 20_000)
    for seed in ("one", "two", "three"):
        layers = [shared] if seed != "two" else []
        replica.source["a"].image(seed, "v1", layers=layers)
        plan = await planned(replica, tmp_path)
        assert (size(plan) > 20_000) is (seed == "one")
        assert (await replica.run()).size == size(plan)


async def test_what_went_lately_counts_for_the_guard_of_a_plan(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: '*', delete: 0s", more="guard: 20%\n")
    for number in range(20):
        replica.source["a"].image(str(number), f"t{number}")
    await replica.run()
    for number in range(8):
        del replica.source["a"].tags[Tag(f"t{number}")]
        if number == 3:
            assert (await replica.run()).deleted == 4
    plan, outcome = await planned(replica, tmp_path), await replica.run()
    assert (len(plan.withheld), len(outcome.stopped), outcome.deleted) == (4, 1, 0)
    assert (plan.guard[0].deletes, plan.guard[0].tags) == (
        outcome.stopped[0].deletes,
        outcome.stopped[0].tags,
    )


async def test_a_run_that_deletes_here_and_at_another_registry_ends() -> None:
    """A place here and one that is pushed to have an order: else the run broke off before it deleted anything."""
    out = 'to: ["b", {registry: cloud.example, name: b}]'
    replica = replica_of(f"repos: a, tags: '*', delete: 0s, {out}", more=ALL)
    replica.outward = MemoryCloud()  # type: ignore[assignment]  # what it lacks is not asked for
    for tag in ("v1", "v2"):
        replica.source["a"].image(tag, tag)
    assert (await replica.run()).complete
    del replica.source["a"].tags[Tag("v1")]
    assert (await replica.run()).deleted == 2
