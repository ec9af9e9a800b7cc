"""What a rule asks of the images of an index it asks of those that its own platforms take, in plans as in runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.reference import Tag
from tests.content.snapshot.planning import planned
from tests.content.snapshot.test_planned_by_destination import both
from tests.content.snapshot.test_rule_keys import digests, helm, replica_of, troubles
from tests.simulators.images import HOST, LAYER, Content, descriptor, random_bytes
from tests.simulators.replica import Replica

PROD = {"tier": "prod"}
AMD, ARM = "linux/amd64", "linux/arm64"


def mixed(content: Content, *tags: str) -> None:
    """An index of which the first image alone has the label."""
    content.index({AMD: content.image("amd", labels=PROD), ARM: content.image("arm")}, *tags)


@pytest.mark.parametrize(
    "other", ['to: "b"', f'to: "b", platforms: [{ARM}]', f"platforms: [{ARM}]", "max: 1MiB"]
)
async def test_labels_are_those_of_the_platforms_of_the_rule(other: str, tmp_path: Path) -> None:
    """The platforms of another rule, at the same place or elsewhere, excluded what this one takes."""
    labelled = f'repos: a, tags: v1, platforms: [{AMD}], labels: {{tier: prod}}, to: "c"'
    replica = replica_of(labelled, f"repos: a, tags: v1, {other}")
    mixed(replica.source["a"], "v1")
    name = "b" if "to" in other else "a"
    assert await both(replica, tmp_path) == [f"{HOST}/{name}:v1", f"{HOST}/c:v1"]


async def test_rules_of_one_place_ask_each_of_their_own_images(tmp_path: Path) -> None:
    replica = replica_of(
        f"repos: a, tags: v1, platforms: [{AMD}], labels: {{tier: prod}}",
        f"repos: a, tags: v1, platforms: [{ARM}], labels: {{tier: '*'}}",
    )
    content = replica.source["a"]
    arm = content.image("arm", layers=[random_bytes("arm", 9_000)])
    content.index({AMD: content.image("amd", labels=PROD), ARM: arm}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]
    assert not await replica.has("a", arm)


async def test_the_first_image_for_a_rule_s_platforms_says_the_type(tmp_path: Path) -> None:
    replica = replica_of(
        f'repos: a, tags: v1, platforms: [{AMD}], types: chart, to: "charts"',
        f'repos: a, tags: v1, platforms: [{ARM}], types: chart, to: "none"',
        'repos: a, tags: v1, platforms: [linux/s390x], types: image, to: "nothing"',
    )
    content = replica.source["a"]
    helm(replica, "chart")
    chart = content.manifests[content.tags.pop(Tag("chart"))]
    content.index({AMD: chart, ARM: content.image("arm")}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/charts:v1"]


async def test_a_newest_one_is_counted_by_the_images_of_its_rule(tmp_path: Path) -> None:
    """A tag that another rule keeps for another platform was judged by that alone."""
    replica = replica_of(
        f'repos: a, tags: "semver: *", platforms: [{AMD}], labels: {{tier: prod}}, keep: 1, to: "b"',
        f'repos: a, tags: "semver: *", platforms: [{ARM}]',
    )
    content = replica.source["a"]
    mixed(content, "1.0")
    content.index({AMD: content.image("new"), ARM: content.image("arm2")}, "1.1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:1.0", f"{HOST}/a:1.1", f"{HOST}/b:1.0"]


async def test_an_index_with_nothing_for_a_rule_s_platforms_is_refused_by_its_plan(tmp_path: Path) -> None:
    replica = replica_of(
        "repos: a, tags: v1, platforms: [linux/s390x], data: metadata", 'repos: a, tags: v1, to: "b"'
    )
    mixed(replica.source["a"], "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/b:v1"]
    assert troubles(await replica.run()) == [f"nothing of it is for linux/s390x; it has {AMD}, {ARM}"]


async def test_what_is_no_image_is_not_for_a_platform(tmp_path: Path) -> None:
    """What builders say is for an unknown platform comes with any, and does not make the index one for it."""
    replica = replica_of("repos: a, tags: v1, platforms: [linux/s390x]")
    content = replica.source["a"]
    content.index({AMD: content.image("amd"), "unknown/unknown": content.image("what")}, "v1")
    assert await both(replica, tmp_path) == []
    replica.rules = replica_of(f"repos: a, tags: v1, platforms: [{AMD}]").rules
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_what_attests_nothing_of_its_index_is_for_no_platform(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1, platforms: [linux/s390x]")
    content = replica.source["a"]
    proof = content.image("proof").descriptor.document()
    of = {"annotations": {"vnd.docker.reference.digest": str(content.image("other").digest)}}
    image = content.image("amd").descriptor.document()
    children = [image | {"platform": {"os": "linux", "architecture": "amd64"}}, proof | of]
    content.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}, "v1")
    assert await both(replica, tmp_path) == []
    for platforms in (f"platforms: [{AMD}]", "types: image"):
        replica.rules = replica_of(f"repos: a, tags: v1, {platforms}").rules
        assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_variants_are_told_apart_by_plans_as_by_runs(tmp_path: Path) -> None:
    """arm64 without a variant is v8."""
    replica = replica_of("repos: a, tags: v1, platforms: [linux/arm64/v8]")
    mixed(replica.source["a"], "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_what_attests_an_image_is_planned_with_it_alone(tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, platforms: [{AMD}], max: 19KiB, labels: {{tier: prod}}")
    content = replica.source["a"]
    children = []
    for name in (AMD, ARM):
        image = content.image(name, labels=PROD)
        proof = content.image(f"proof of {name}", layers=[random_bytes(name, 10_000)])
        platform = dict(zip(("os", "architecture"), name.split("/"), strict=True))
        of = {
            "vnd.docker.reference.digest": str(image.digest),
            "vnd.docker.reference.type": "attestation-manifest",
        }
        unknown = {"os": "unknown", "architecture": "unknown"}
        children += [
            image.descriptor.document() | {"platform": platform},
            proof.descriptor.document() | {"platform": unknown, "annotations": of},
        ]
    content.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_one_manifest_for_two_platforms_is_an_image_of_each(tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, platforms: [{ARM}], labels: {{tier: prod}}")
    content = replica.source["a"]
    same = content.image("same", labels=PROD)
    content.index({AMD: same, ARM: same}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_a_cache_of_a_builder_is_an_index_of_blobs(tmp_path: Path) -> None:
    """It has no images: what is asked of them is asked of itself."""
    replica = replica_of(
        f"repos: a, tags: v1, platforms: [{AMD}], types: '*index*', max: 4KiB",
        "repos: a, tags: v1, types: image, to: b",
        "repos: a, tags: v1, labels: {tier: prod}, to: c",
    )
    content = replica.source["a"]
    kinds = {LAYER: random_bytes("layer", 3_000), "application/vnd.buildkit.cacheconfig.v0": b"{}"}
    children = [descriptor(kind, content.blob(data)) for kind, data in kinds.items()]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}
    content.put(document, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]
    content.put(document | {"annotations": PROD}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1", f"{HOST}/c:v1"]


async def test_what_is_for_all_and_for_one_platform_is_for_all(tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, platforms: [{AMD}]")
    content = replica.source["a"]
    same = content.image("same")
    content.index({ARM: content.index({"": same}), "": same}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_an_index_below_an_index_is_for_its_platform(tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, platforms: [{ARM}], labels: {{tier: prod}}, types: image")
    content = replica.source["a"]
    inner = content.index({"": content.image("in", labels=PROD)})
    content.index({AMD: content.image("amd"), ARM: inner}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def test_an_index_for_one_platform_that_names_another_is_for_neither(tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, platforms: [{ARM}, linux/s390x], types: image")
    content = replica.source["a"]
    inner = content.index({ARM: content.image("in", labels=PROD), "linux/s390x": content.image("s390x")})
    content.index({AMD: inner, ARM: content.image("arm")}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]
    replica.rules = replica_of(
        f"repos: a, tags: v1, platforms: [{AMD}, {ARM}], labels: {{tier: prod}}, to: b"
    ).rules
    assert await both(replica, tmp_path) == []


async def test_what_stands_twice_in_an_index_is_an_image_where_it_is_one(tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, platforms: [{AMD}], types: image")
    content = replica.source["a"]
    same = content.image("same")
    content.index({"unknown/unknown": same, AMD: same, ARM: content.image("arm")}, "v1")
    assert await both(replica, tmp_path) == [f"{HOST}/a:v1"]


async def old_records(replica: Replica, **more: object) -> None:
    """As they were written before images were noted one by one."""
    records, key = replica.blobs.records, f"receipts/{HOST}/a/receipts.json"
    document = json.loads(await records.get(key) or b"")
    for receipt in document.values():
        del receipt["images"]
        receipt |= more
    await records.put(key, json.dumps(document).encode())


async def test_records_that_know_no_images_are_looked_at_again(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: '*', labels: {tier: prod}, types: image")
    mixed(replica.source["a"], "mixed")
    replica.source["a"].image("one", "v1", labels=PROD)
    assert (await replica.run()).complete
    asked = replica.source.asked["blob"]
    await replica.run()
    assert replica.source.asked["blob"] < asked
    await old_records(replica, type="application/vnd.example", labels={"tier": ["test"]})
    outcome = await replica.run()
    assert (outcome.complete, outcome.size, set(await digests(replica))) == (True, 0, {"v1"})
    assert (await planned(replica, tmp_path)).steps == []
