"""`data`: how much of an image is brought; of several rules the fullest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_odd_sources import self_check
from tests.content.snapshot.test_rule_keys import digests, replica_of, troubles
from tests.simulators.images import random_bytes


@pytest.mark.parametrize("data", ["metadata", "on-demand"])
async def test_manifests_come_and_no_blob(data: str, tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, data: {data}")
    content = replica.source["a"]
    children = {name: content.image(name) for name in ("linux/amd64", "linux/arm64")}
    index = content.index(children, "v1")
    signature = content.image("sig", subject=index)
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    assert (troubles(outcome), await digests(replica)) == ([], {"v1": index.digest})
    assert all([await replica.has("a", each) for each in (*children.values(), signature)])
    assert outcome.size == size(plan) == replica.source.sent == 0
    assert not await replica.has_blob(children["linux/amd64"].layers[0].digest)
    again = await replica.run()
    assert (again.switched, again.held, replica.source.asked) == (0, 1, {"tags": 1, "resolve": 1})
    wrong, left_out = await self_check(replica)
    assert (wrong, left_out) == ([], 9)


async def test_the_fullest_of_several_rules_is_brought(tmp_path: Path) -> None:
    replica = replica_of('repos: a, tags: "*", data: metadata', "repos: a, tags: v1")
    content = replica.source["a"]
    one, two = content.image("one", "v1"), content.image("two", "v2")
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    assert outcome.size == size(plan) == sum(blob.size for blob in one.blobs())
    held = [await replica.has_blob(image.layers[0].digest) for image in (one, two)]
    assert (troubles(outcome), held) == ([], [True, False])


async def test_one_image_under_two_tags_is_as_full_as_either_wants() -> None:
    replica = replica_of("repos: a, tags: v1, data: metadata", "repos: a, tags: v2")
    image = replica.source["a"].image("one", "v1", "v2")
    assert troubles(await replica.run()) == []
    assert await replica.has_blob(image.layers[0].digest)
    assert await self_check(replica) == ([], 0)


async def test_what_was_left_out_comes_when_all_is_wanted(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1, data: metadata")
    image = replica.source["a"].image("one", "v1")
    await replica.run()
    replica.rules = replica_of("repos: a, tags: v1").rules
    outcome = await replica.run()
    assert (troubles(outcome), outcome.size) == ([], sum(blob.size for blob in image.blobs()))
    assert await self_check(replica) == ([], 0)
    reading = await replica.held("a").blobs.stat(image.layers[0].digest)
    assert reading.size == image.layers[0].size


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("data: metadata", "data: full"),
        ("data: on-demand", "data: full"),
        ("data: metadata", "platforms: [linux/amd64]"),
        ("platforms: [linux/amd64]", "platforms: [linux/amd64, linux/arm64]"),
        ("platforms: [linux/amd64]", "data: full"),
        ("to: 'm/{base}', data: metadata", "to: 'm/{base}'"),
    ],
)
async def test_more_of_what_is_held_in_part_is_planned_as_it_comes(
    before: str, after: str, tmp_path: Path
) -> None:
    replica = replica_of(f"repos: a, tags: v1, {before}", "repos: b, tags: v1")
    content = replica.source["a"]
    shared = random_bytes("shared", 5_000)
    layers = {name: [shared, random_bytes(name, 3_000)] for name in ("linux/amd64", "linux/arm64")}
    children = {name: content.image(name, layers=each) for name, each in layers.items()}
    index = content.index(children, "v1")
    replica.source["b"].image("b", "v1", layers=[shared])
    await replica.run()
    assert [(await planned(replica, tmp_path)).steps, (await replica.run()).size] == [[], 0]
    replica.rules = replica_of(f"repos: a, tags: v1, {after}", "repos: b, tags: v1").rules
    plan = await planned(replica, tmp_path)
    (step,) = plan.steps
    assert (step.do, step.was, step.digest) == ("copy", str(index.digest), str(index.digest))
    outcome = await replica.run()
    assert (troubles(outcome), outcome.switched) == ([], 0)
    assert 0 < outcome.size == size(plan) == replica.source.sent
    assert (await planned(replica, tmp_path)).steps == []


async def test_what_was_left_out_and_read_since_is_not_planned_again(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1, data: on-demand")
    image = replica.source["a"].image("one", "v1")
    await replica.run()
    layer = replica.source["a"].blobs[image.layers[0].digest]
    async with replica.blobs.ingest(image.layers[0].digest) as ingest:
        await ingest.write(layer)
        await ingest.commit()
    replica.rules = replica_of("repos: a, tags: v1").rules
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    assert 0 < outcome.size == size(plan) == sum(blob.size for blob in image.blobs()) - len(layer)
