"""Several rules of one tag: what each wants adds up, and none takes away what another brings."""

from __future__ import annotations

import pytest

from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, digests, replica_of, troubles
from tests.simulators.images import HOST, Content
from tests.simulators.replica import Replica

PLATFORMS = ("amd64", "arm64", "s390x")
AMD, ARM, BARE = (
    "repos: a, tags: v1, platforms: linux/amd64",
    "repos: a, tags: v1, platforms: linux/arm64",
    "repos: a, tags: v1, platforms: linux/amd64, with: none",
)


def attested_index(content: Content) -> tuple[Manifest, dict[str, Manifest], dict[str, Manifest], str]:
    """The index at `v1`, its image and what attests it by architecture, and the tag of its signature."""
    images = {each: content.image(each) for each in PLATFORMS}
    attestations = {each: content.image(f"attests {each}") for each in PLATFORMS}
    children = [
        image.descriptor.document() | {"platform": {"os": "linux", "architecture": each}}
        for each, image in images.items()
    ]
    children += [
        attestation.descriptor.document()
        | {
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": str(images[each].digest),
            },
        }
        for each, attestation in attestations.items()
    ]
    index = content.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}, "v1")
    signature = f"sha256-{index.digest.hex}.sig"
    content.image("signature", signature)
    return index, images, attestations, signature


@pytest.mark.parametrize(
    ("rules", "brought", "signed"),
    [
        ((AMD,), {"amd64"}, True),
        ((AMD, ARM), {"amd64", "arm64"}, True),
        ((AMD, ARM, BARE), {"amd64", "arm64"}, True),
        ((BARE, ARM, AMD), {"amd64", "arm64"}, True),
        ((BARE,), {"amd64"}, False),
        (("repos: a, tags: v1", BARE), set(PLATFORMS), True),
    ],
)
async def test_images_of_all_rules_come_with_what_attests_them_and_the_tag_last(
    rules: tuple[str, ...], brought: set[str], signed: bool
) -> None:
    replica = replica_of(*rules)
    index, images, attestations, signature = attested_index(replica.source["a"])
    assert troubles(await replica.run()) == []
    for several in (images, attestations):
        assert {name for name, each in several.items() if await replica.has("a", each)} == brought
    assert await replica.has("a", index), "under its own digest, whatever of it is absent"
    assert (await digests(replica))["v1"] == index.digest
    tags = [line for line in replica.repositories.diary if line.startswith("tag")]
    assert tags == ([f"tag {signature}"] if signed else []) + ["tag v1"]
    assert replica.repositories.diary[-1] == "tag v1"


async def nights(replica: Replica, first: int, last: int) -> list[int]:
    """A nightly a day, all of which stay at the source; how many tags each run brought."""
    brought = []
    for day in range(first, last):
        replica.source["night"].image(f"night {day}", f"n{day:02}")
        replica.now = MONDAY + day * DAY
        outcome = await replica.run()
        assert troubles(outcome) == []
        brought.append(outcome.switched)
    return brought


@pytest.mark.parametrize("keep", ["{newest: 4, by: seen}", "{newest: 1, by: seen, or_younger: 4d}"])
async def test_a_nightly_that_was_deleted_is_not_brought_again(keep: str) -> None:
    nightlies = f"repos: night, tags: 'n*', keep: {keep}, delete: 1d"
    replica = replica_of(nightlies, more="guard: 100%\n")
    assert await nights(replica, 0, 10) == [1] * 10
    assert set(await replica.tags("night")) == {"n05", "n06", "n07", "n08", "n09"}


async def test_a_nightly_that_is_held_outlives_its_newest_and_the_rules_themselves() -> None:
    nightlies = "repos: night, tags: 'n*', keep: {newest: 4, by: seen}, delete: 1d"
    held = replica_of(nightlies, "repos: night, tags: n03, hold: forever", more="guard: 100%\n")
    await nights(held, 0, 10)
    kept = {"n03", "n05", "n06", "n07", "n08", "n09"}
    assert set(await held.tags("night")) == kept, "the newest, one within its grace, one held"
    held.rules = replica_of("repos: other, tags: '*'", more="guard: 100%\n").rules
    held.source["other"].image("other", "1")
    for day in (20, 21, 99):
        held.now = MONDAY + day * DAY
        outcome = await held.run()
        assert (outcome.deleted, set(await held.tags("night"))) == (0, kept)
    assert f"{HOST}/night: 1 tag stays, held by a rule that is gone (n03)" in outcome.notes
