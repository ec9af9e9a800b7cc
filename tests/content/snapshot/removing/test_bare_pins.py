"""`@DIGEST`: manifests that no tag points at."""

from __future__ import annotations

import json
from pathlib import Path

from registry_mesh.content.snapshot.removing.removed import REMOVED
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.ports.pushes import Pusher
from tests.content.snapshot.finding.test_verify import TEAM
from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, digests, replica_of, troubles
from tests.simulators.images import HOST


async def test_a_pinned_manifest_comes_without_a_tag_and_is_not_asked_for_again(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1")
    content = replica.source["a"]
    pinned, other = content.image("pinned"), content.image("other", "v1")
    index = content.index({"linux/amd64": pinned, "linux/arm64": content.image("arm")})
    signature = TEAM.refer(content, index)
    replica = replica_of(f'repos: a, tags: [v1, "@{index.digest}"]')
    replica.source.content[RepositoryName("a")] = content
    plan = await planned(replica, tmp_path)
    assert [(step.do, step.to.removeprefix(f"{HOST}/")) for step in plan.steps] == [
        ("copy", "a:v1"),
        ("copy", f"a@{index.digest}"),
    ]
    outcome = await replica.run()
    assert (troubles(outcome), outcome.notes) == ([], ())
    assert outcome.size == size(plan) + sum(blob.size for blob in signature.blobs())
    assert await digests(replica) == {"v1": other.digest}
    assert await replica.has("a", index)
    assert await replica.has("a", pinned)
    assert await replica.has("a", signature)
    del content.manifests[index.digest]  # gone at its source: what is here stays
    again = await replica.run()
    assert (again.complete, again.switched, again.size) == (True, 0, 0)


async def test_a_pin_that_is_nowhere_is_a_trouble_of_its_own() -> None:
    absent = f"@sha256:{64 * '7'}"
    replica = replica_of(f'repos: a, tags: [v1, "{absent}"]')
    image = replica.source["a"].image("one", "v1")
    outcome = await replica.run()
    assert troubles(outcome) == ["a rule pins it, and it does not exist at its source"]
    assert await digests(replica) == {"v1": image.digest}


async def test_no_other_pattern_takes_what_has_no_tag() -> None:
    replica = replica_of("repos: a, tags: x")
    content = replica.source["a"]
    image = content.image("bare")
    patterns = f'["re: .*", "*", "semver: *", "@sha256:{64 * "7"}"]'
    replica = replica_of(f"repos: a, tags: {patterns}", f'repos: a, tags: "@{image.digest}", max: 10B')
    replica.source.content[RepositoryName("a")] = content
    content.image("one", "v1")
    told = troubles(await replica.run())
    assert len(told) == 2
    assert f"a@{image.digest} has" in " ".join(told)
    assert not await replica.has("a", image)


async def test_what_is_denied_is_held_no_longer_and_comes_no_more() -> None:
    replica = replica_of("repos: a, tags: x")
    content = replica.source["a"]
    image, other = content.image("denied"), content.image("fine")
    pins = f'repos: a, tags: ["@{image.digest}", "@{other.digest}"]'
    replica = replica_of(pins)
    replica.source.content[RepositoryName("a")] = content
    await replica.run()
    replica.rules = replica_of(pins, more=f'deny: [{{from: {HOST}, digest: "{image.digest}"}}]\n').rules
    outcome = await replica.run()
    assert f"{HOST}/a@{image.digest} is held no longer: it is denied" in outcome.notes
    kept = replica.repositories.real.repository(HOST, RepositoryName("a"))
    assert await kept.pinned() == [other.digest]
    await replica.run()
    assert await kept.pinned() == [other.digest]


async def test_a_pin_that_no_rule_says_any_more_goes_as_tags_do_and_comes_back() -> None:
    replica = replica_of("repos: a, tags: x")
    content = replica.source["a"]
    image, other = content.image("released"), content.image("fine")
    content.image("one", "v1")
    defaults = "guard: 100%\n"
    pins = f'repos: a, delete: 7d, tags: [v1, "@{other.digest}"%s]'
    replica = replica_of(pins % f', "@{image.digest}"', more=defaults)
    replica.source.content[RepositoryName("a")] = content
    assert (await replica.run()).complete
    kept = replica.repositories.real.repository(HOST, RepositoryName("a"))
    replica.rules = replica_of(pins % "", more=defaults).rules
    for day, left in ((1, 2), (7.9, 2), (8, 1), (9, 1)):
        replica.now = MONDAY + day * DAY
        outcome = await replica.run()
        assert (troubles(outcome), len(await kept.pinned())) == ([], left)
    assert await kept.pinned() == [other.digest]
    (entry,) = json.loads(await replica.blobs.records.get(REMOVED) or b"[]")
    assert (entry["tag"], entry["digest"]) == (f"@{image.digest}", str(image.digest))
    assert await kept.restore(Tag(entry["tag"]), Pusher("person")) == image.digest
    assert set(await kept.pinned()) == {image.digest, other.digest}


async def test_a_released_pin_without_delete_stays() -> None:
    replica = replica_of("repos: a, tags: x")
    content = replica.source["a"]
    image = content.image("released")
    content.image("one", "v1")
    replica = replica_of(f'repos: a, tags: [v1, "@{image.digest}"]')
    replica.source.content[RepositoryName("a")] = content
    await replica.run()
    replica.rules = replica_of("repos: a, tags: v1").rules
    replica.now = MONDAY + 99 * DAY
    assert (await replica.run()).deleted == 0
    kept = replica.repositories.real.repository(HOST, RepositoryName("a"))
    assert await kept.pinned() == [image.digest]
