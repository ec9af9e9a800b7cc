"""What a plan says is deleted is what the run after it deletes, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_mesh.oci.manifest import Manifest
from tests.content.snapshot.planning import planned
from tests.content.snapshot.removing.test_removing import ALL, at, drop
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, digests, replica_of
from tests.simulators.images import HOST
from tests.simulators.replica import Replica

KEPT = 'repos: a, tags: "*", delete: 1d'


async def deletes(replica: Replica, folder: Path, days: float) -> list[str]:
    """The references that the plan deletes, as many as the run does."""
    replica.now = MONDAY + days * DAY
    plan = await planned(replica, folder)
    found = [step.to for step in plan.steps if step.do == "delete"]
    assert (await at(replica, days)).deleted == len(found)
    return found


def signed(replica: Replica, tag: str) -> tuple[Manifest, str]:
    """An image, and the tag of its signature."""
    content = replica.source["a"]
    image = content.image(tag, tag)
    signature = f"sha256-{image.digest.hex}.sig"
    content.image(f"signature of {tag}", signature)
    return image, signature


@pytest.mark.parametrize("rule", [KEPT, KEPT.replace('"*"', '"v*"')], ids=["taken", "brought"])
async def test_a_signature_goes_with_its_image_and_counts_for_nothing(rule: str, tmp_path: Path) -> None:
    replica = replica_of(rule, more=ALL)
    _, signature = signed(replica, "v1")
    replica.source["a"].image("v2", "v2")
    assert (await replica.run()).complete
    assert signature in await digests(replica)
    drop(replica, "v1", signature)
    assert await deletes(replica, tmp_path, 1) == []
    assert await deletes(replica, tmp_path, 3) == [f"{HOST}/a:v1"]
    assert set(await digests(replica)) == {"v2"}


async def test_a_signature_that_is_gone_stays_with_its_image(tmp_path: Path) -> None:
    replica = replica_of(KEPT, more=ALL)
    _, signature = signed(replica, "v1")
    assert (await replica.run()).complete
    drop(replica, signature)
    for days in (1, 3):
        assert await deletes(replica, tmp_path, days) == []
    assert set(await digests(replica)) == {"v1", signature}


async def test_the_guard_counts_no_signatures_in_a_plan_either(tmp_path: Path) -> None:
    """Of 20 tags 6 go: 30 %; of those and their signatures it would be 15 %."""
    replica = replica_of(KEPT, more="guard: 20%\n")
    for number in range(20):
        signed(replica, f"v{number}")
    assert (await replica.run()).complete
    drop(replica, *(f"v{number}" for number in range(6)))
    await at(replica, 1)
    replica.now = MONDAY + 3 * DAY
    (guard,) = (await planned(replica, tmp_path)).guard
    outcome = await at(replica, 3)
    (stopped,) = outcome.stopped
    assert (
        (guard.deletes, guard.tags, guard.stopped) == (stopped.deletes, stopped.tags, True) == (6, 20, True)
    )


@pytest.mark.parametrize("to", ['"b/{base}"', '"{repo}:{tag}-x"', '["b/{base}", "c/{base}"]'])
async def test_a_tag_that_rules_want_under_other_names_only_goes_from_its_own(
    to: str, tmp_path: Path
) -> None:
    replica = replica_of(KEPT, more=ALL)
    for tag in ("v1", "v2"):
        replica.source["a"].image(tag, tag)
    assert (await replica.run()).complete
    replica.rules = replica_of(f"{KEPT}, to: {to}", more=ALL).rules
    assert await deletes(replica, tmp_path, 1) == []
    assert await deletes(replica, tmp_path, 3) == [f"{HOST}/a:v1", f"{HOST}/a:v2"]
    assert {"v1", "v2"}.isdisjoint(await digests(replica))


async def test_a_tag_that_a_rule_wants_under_its_own_name_too_stays(tmp_path: Path) -> None:
    replica = replica_of(KEPT, more=ALL)
    replica.source["a"].image("v1", "v1")
    assert (await replica.run()).complete
    replica.rules = replica_of(f'{KEPT}, to: ["{{repo}}", "b/{{base}}"]', more=ALL).rules
    for days in (1, 3):
        assert await deletes(replica, tmp_path, days) == []
    assert set(await digests(replica)) == {"v1"}


@pytest.mark.parametrize("by", ["tag", "digest"])
async def test_what_is_denied_is_none_of_the_newest_that_are_kept(by: str, tmp_path: Path) -> None:
    rule = 'repos: a, tags: "semver: *", keep: 1, delete: 0s'
    replica = replica_of(rule, more=ALL)
    good = replica.source["a"].image("good", "1.0.0")
    await replica.run()
    bad = replica.source["a"].image("bad", "2.0.0")
    what = {"tag": "tags: 2.0.0", "digest": f'digest: "{bad.digest}"'}[by]
    replica.rules = replica_of(rule, more=f"{ALL}deny: [{{from: {HOST}, repos: a, {what}}}]\n").rules
    assert await deletes(replica, tmp_path, 1) == []
    assert await digests(replica, "a") == {"1.0.0": good.digest}
