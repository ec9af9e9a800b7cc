"""`to`: under which names what is taken is kept, and what becomes of names that several would write."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_mesh.oci.reference import Tag
from tests.content.snapshot.finding.test_verify import TEAM, verifying
from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_rule_keys import DAY, digests, replica_of, troubles
from tests.simulators.images import HOST, random_bytes
from tests.simulators.replica import Replica


@pytest.mark.parametrize(
    ("to", "name", "tag"),
    [
        ('"base/{base}"', "base/alma", "9"),
        ('"{repo}:{tag}-cern"', "library/alma", "9-cern"),
        ('"mirror/{repo[1:]}:v{tag}"', "mirror/alma", "v9"),
        ('{name: "{source}/{repo}"}', f"{HOST}/library/alma", "9"),
        ('{tag: "{version}"}', "library/alma", "9"),
    ],
)
async def test_what_is_taken_is_kept_under_its_other_name_alone(
    to: str, name: str, tag: str, tmp_path: Path
) -> None:
    replica = replica_of(f'repos: "library/*", tags: "semver: *", to: {to}')
    content = replica.source["library/alma"]
    image = content.image("alma", "9")
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    assert (outcome.complete, outcome.notes, await digests(replica, name)) == (True, (), {tag: image.digest})
    assert name == "library/alma" or await digests(replica, "library/alma") == {}
    assert [step.to for step in plan.steps] == [f"{HOST}/{name}:{tag}"]
    assert outcome.size == size(plan) == sum(blob.size for blob in image.blobs())
    assert (await replica.run()).switched == 0
    assert replica.source.asked == {"catalog": 1, "tags": 1, "resolve": 1}
    assert (await planned(replica, tmp_path)).steps == []
    moved = content.image("moved", "9")
    assert (await replica.run()).switched == 1
    assert await digests(replica, name) == {tag: moved.digest}


async def test_several_names_are_one_copy(tmp_path: Path) -> None:
    replica = replica_of('repos: a, tags: v1, to: ["b", "{repo}", "c:{tag}-x"]', "repos: a, tags: v2")
    content = replica.source["a"]
    layer = random_bytes("layer", 50_000)
    one, two = content.image("one", "v1", layers=[layer]), content.image("two", "v2", layers=[layer])
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    assert troubles(outcome) == []
    assert await digests(replica, "a") == {"v1": one.digest, "v2": two.digest}
    assert await digests(replica, "b") == {"v1": one.digest}
    assert await digests(replica, "c") == {"v1-x": one.digest}
    assert outcome.size == size(plan) < 60_000
    again = await replica.run()
    assert (again.complete, again.switched, again.notes) == (True, 0, ())


async def test_companions_go_along_before_the_tag() -> None:
    replica = verifying('repos: a, tags: v1, verify: team, to: "base/{base}:{tag}-cern"')
    content = replica.source["a"]
    image = content.image("one", "v1")
    TEAM.tag(content, image)
    referrer = TEAM.refer(content, image)
    assert troubles(await replica.run()) == []
    signature = f"sha256-{image.digest.hex}.sig"
    assert await digests(replica, "base/a") == {
        "v1-cern": image.digest,
        signature: content.tags[Tag(signature)],
    }
    assert await replica.has("base/a", referrer)
    assert [line for line in replica.repositories.diary if line.startswith("tag")][-1] == "tag v1-cern"


TWO = (
    'repos: "library/*", tags: "16", to: "base/{base}"',
    'repos: "centos/*", tags: "16", to: "base/{base}"',
)


def two(first: str, second: str, priority: str = "") -> Replica:
    replica = replica_of(TWO[0] + priority, TWO[1])
    replica.source["library/postgres"].image(first, "16")
    replica.source["centos/postgres"].image(second, "16")
    return replica


async def test_two_sources_of_one_digest_are_one_copy(tmp_path: Path) -> None:
    replica = two("same", "same")
    plan = await planned(replica, tmp_path)
    assert [step.rules for step in plan.steps] == [("r0", "r1")]
    outcome = await replica.run()
    assert (troubles(outcome), outcome.notes) == ([], ())
    assert set(await digests(replica, "base/postgres")) == {"16"}
    assert outcome.size == size(plan)


async def test_of_different_digests_neither_is_written_and_what_is_there_stays(tmp_path: Path) -> None:
    replica = two("same", "same")
    await replica.run()
    before = await digests(replica, "base/postgres")
    replica.source["centos/postgres"].image("other", "16")
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    (told,) = troubles(outcome)
    assert told == plan.conflicts[0].because
    assert told.startswith(
        f"base/postgres:16 would be written by r0 ({HOST}/library/postgres:16) and r1 ({HOST}/centos/"
    )
    assert (plan.stopped, outcome.size, size(plan)) == (True, 0, 0)
    assert await digests(replica, "base/postgres") == before


async def test_the_higher_priority_writes_and_the_other_is_named(tmp_path: Path) -> None:
    replica = two("one", "two", ", priority: high")
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    wins = replica.source["library/postgres"].tags[Tag("16")]
    assert (troubles(outcome), await digests(replica, "base/postgres")) == ([], {"16": wins})
    assert any("would be written by" in note and "centos/postgres:16" in note for note in outcome.notes)
    assert outcome.size == size(plan)


async def test_one_name_that_a_tag_of_its_own_has_already() -> None:
    replica = replica_of("repos: b, tags: v1", 'repos: a, tags: v1, to: "b"')
    own = replica.source["b"].image("own", "v1")
    replica.source["a"].image("other", "v1")
    assert "b:v1 would be written by" in troubles(await replica.run())[0]
    assert await digests(replica, "b") == {}
    replica.source["a"].tags.clear()
    replica.source["a"].image("own", "v2")
    await replica.run()
    assert await digests(replica, "b") == {"v1": own.digest}


async def test_a_name_that_cannot_be_is_a_trouble_of_its_tag_alone() -> None:
    replica = replica_of('repos: a, tags: "*", to: "base/{base}:{tag}-with-much-behind-it"')
    content = replica.source["a"]
    content.image("one", "a" * 120)
    good = content.image("two", "v2")
    (told,) = troubles(await replica.run())
    assert "which is no tag" in told
    assert await digests(replica, "base/a") == {"v2-with-much-behind-it": good.digest}


async def test_what_is_made_is_not_taken_for_gone_or_unselected() -> None:
    """Neither at its source, where nobody has that name, nor when its own name has rules that delete."""
    replica = replica_of(
        'repos: a, tags: v1, to: "b"', 'repos: b, tags: "2*", delete: 0s', more="guard: 100%\n"
    )
    image = replica.source["a"].image("one", "v1")
    other = replica.source["b"].image("two", "2")
    for _ in range(4):
        outcome = await replica.run()
        replica.now += DAY
        assert (troubles(outcome), outcome.deleted) == ([], 0)
        assert await digests(replica, "b") == {"v1": image.digest, "2": other.digest}
    replica.source["b"].tags.clear()
    replica.source["b"].image("three", "3")
    for _ in range(2):
        outcome = await replica.run()
        replica.now += DAY
    assert await digests(replica, "b") == {"v1": image.digest}


async def test_guards_look_at_what_is_under_the_other_name() -> None:
    replica = replica_of('repos: a, tags: "*", to: "b", fixed: "*"', 'repos: c, tags: v1, to: "d", age: 1d')
    first = replica.source["a"].image("one", "v1")
    aged = replica.source["c"].image("aged", "v1")
    await replica.run()
    replica.source["a"].image("two", "v1")
    replica.now += DAY
    outcome = await replica.run()
    assert f"is fixed: it stays at {first.digest}" in troubles(outcome)[0]
    assert await digests(replica, "b") == {"v1": first.digest}
    assert await digests(replica, "d") == {"v1": aged.digest}
