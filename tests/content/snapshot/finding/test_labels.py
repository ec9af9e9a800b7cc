"""`labels`: an image is taken by what its annotations, else its configs, say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.ports.failures import SourceUnavailable
from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_rule_keys import digests, replica_of, troubles
from tests.simulators.images import descriptor, random_bytes

PROD, TEST = {"tier": "prod-eu"}, {"tier": "test"}


async def test_labels_choose_and_what_has_none_is_not_selected(tmp_path: Path) -> None:
    replica = replica_of('repos: a, tags: "*", labels: {tier: "prod*"}')
    content = replica.source["a"]
    wanted = content.image("prod", "prod", labels=PROD)
    content.image("test", "test", labels=TEST)
    content.image("none", "none")
    content.image("empty", "empty", labels={})
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    assert (outcome.complete, outcome.notes, await digests(replica)) == (True, (), {"prod": wanted.digest})
    assert outcome.size == size(plan) == sum(blob.size for blob in wanted.blobs())
    assert (plan.refused, plan.unknown) == ([], [])


async def test_every_label_has_to_fit() -> None:
    replica = replica_of('repos: a, tags: "*", labels: {tier: "prod*", team: "*"}')
    content = replica.source["a"]
    content.image("one", "one", labels=PROD)
    both = content.image("both", "both", labels=PROD | {"team": ""})
    await replica.run()
    assert await digests(replica) == {"both": both.digest}


async def test_an_annotation_of_what_the_tag_names_comes_before_labels(tmp_path: Path) -> None:
    replica = replica_of("repos: a, tags: v1, labels: {tier: prod}")
    content = replica.source["a"]
    config = content.blob(b'{"config": {"Labels": {"tier": "test"}}}')
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [],
    }
    content.put(document, "v1")
    await replica.run()
    assert await digests(replica) == {}
    annotated = content.put(document | {"annotations": {"tier": "prod"}}, "v1")
    assert [step.digest for step in (await planned(replica, tmp_path)).steps] == [str(annotated.digest)]
    await replica.run()
    assert await digests(replica) == {"v1": annotated.digest}


@pytest.mark.parametrize(
    ("other", "platforms", "comes"),
    [
        (PROD, "", True),
        ({"tier": "prod-us"}, "", True),
        (TEST, "", False),
        (None, "", False),
        (TEST, ", platforms: linux/amd64", True),
    ],
)
async def test_every_wanted_image_of_an_index_has_to_fit(
    other: dict[str, str] | None, platforms: str, comes: bool, tmp_path: Path
) -> None:
    replica = replica_of(f'repos: a, tags: v1, labels: {{tier: "prod*"}}{platforms}')
    content = replica.source["a"]
    children = {
        "linux/amd64": content.image("amd", labels=PROD),
        "linux/arm64": content.image("arm", labels=other),
        "unknown/unknown": content.image("attestation"),
    }
    index = content.index(children, "v1")
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    assert await digests(replica) == ({"v1": index.digest} if comes else {})
    assert outcome.size == size(plan)


async def test_a_rule_that_does_not_take_it_adds_no_platform(tmp_path: Path) -> None:
    replica = replica_of(
        "repos: a, tags: v1, platforms: linux/amd64",
        "repos: a, tags: v1, platforms: linux/arm64, labels: {tier: prod}",
        "repos: a, tags: v1, platforms: linux/s390x, types: chart",
    )
    content = replica.source["a"]
    children = {
        name: content.image(name, layers=[random_bytes(name, 50_000)])
        for name in ("linux/amd64", "linux/arm64", "linux/s390x")
    }
    content.index(children, "v1")
    plan = await planned(replica, tmp_path)
    outcome = await replica.run()
    held = [await replica.has("a", child) for child in children.values()]
    assert (troubles(outcome), held) == ([], [True, False, False])
    assert outcome.size == size(plan) == sum(blob.size for blob in children["linux/amd64"].blobs())


async def test_a_label_that_cannot_be_read_is_a_trouble_and_no_absence() -> None:
    replica = replica_of("repos: a, tags: v1, labels: {tier: prod}")
    replica.source["a"].image("one", "v1", labels={"tier": "prod"})
    replica.source.always["blob"] = SourceUnavailable("connection refused")
    outcome = await replica.run()
    assert (troubles(outcome), await digests(replica)) == (["connection refused"], {})
