"""Sources and documents as they are: things missing, named in other ways, for other platforms, refused for now."""

from __future__ import annotations

import time
from typing import Any

import pytest

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown
from registry_mesh.ports.failures import (
    Failure,
    SourceDenied,
    SourceErred,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
)
from registry_mesh.replication.rules import Platform, Rules
from registry_mesh.repositories.digest_life import Lifecycle
from registry_mesh.repositories.faults import Fault
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.verify import SelfCheck
from registry_mesh.stores.memory.uploads import MemoryUploads
from tests.simulators.images import HOST, LAYER, descriptor, random_bytes
from tests.simulators.replica import Replica, rule

AMD, ARM = Platform("linux", "amd64"), Platform("linux", "arm64")
ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
BYTES = random_bytes("x", 5_000)


async def self_check(replica: Replica) -> tuple[list[Fault], int]:
    """As `verify` does it: what is wrong, and how much rules left out."""
    store = replica.blobs
    repositories = Repositories(
        store.records, store, MemoryUploads(store, time.time), Lifecycle(store.records, time.time)
    )
    check = SelfCheck(repositories)
    return [finding.fault async for finding in check.findings()], check.left_out


# What is missing


async def test_a_child_that_is_missing_is_a_trouble_of_the_tag_and_the_old_value_stays() -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    old = content.image("old", "v1")
    await replica.run()
    here, away = content.image("here"), content.image("away")
    content.index({"linux/amd64": here, "linux/arm64": away}, "v1")
    del content.manifests[away.digest]
    outcome = await replica.run()
    assert (outcome.tags, outcome.held) == (1, 0)
    assert [(each.what, str(away.digest) in each.why) for each in outcome.troubles] == [
        (f"{HOST}/a:v1", True)
    ]
    assert await replica.tags("a") == {"v1": old.digest}


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_what_is_missing_at_any_depth_is_named(depth: int) -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    away = inner = content.image("x", "v1")
    for _ in range(depth):
        inner = content.index({"": inner}, "v1")
    del content.manifests[away.digest]
    (trouble,) = (await replica.run()).troubles
    assert trouble.what == f"{HOST}/a:v1"
    assert str(away.digest) in trouble.why


async def test_a_referrer_that_is_missing_is_named_in_every_run_and_the_image_comes() -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    image = content.image("x", "v1")
    away = Descriptor(OCI_MANIFEST, Digest.of(b"away"), 9)
    replica.source.injected[image.digest] = [away]
    for _ in range(2):
        outcome = await replica.run()
        assert (outcome.tags, outcome.held) == (1, 1)
        assert [each.what for each in outcome.troubles] == [f"{HOST}/a@{away.digest}"]
    assert await replica.tags("a") == {"v1": image.digest}
    replica.source.injected.clear()
    assert (await replica.run()).complete


@pytest.mark.parametrize("by_tag", [False, True])
async def test_a_signature_without_its_blobs_is_named_and_the_image_comes(by_tag: bool) -> None:
    replica = Replica(rule("a", "v1"))
    content = replica.source["a"]
    image = content.image("x", "v1")
    companion = [f"{image.digest}.sig".replace(":", "-")] if by_tag else []
    signature = content.image("sig", *companion, subject=None if by_tag else image)
    del content.blobs[signature.layers[0].digest]
    for _ in range(2):
        outcome = await replica.run()
        assert not outcome.complete
        assert f"blob {signature.layers[0].digest}" in [each.what for each in outcome.troubles]
        assert await replica.tags("a") == {"v1": image.digest}
        assert not await replica.has("a", signature)


async def test_a_referrer_s_child_that_is_missing_takes_the_referrer_alone() -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    image, away = content.image("x", "v1"), content.image("away")
    sbom = content.put(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [away.descriptor.document()],
            "subject": image.descriptor.document(),
        }
    )
    del content.manifests[away.digest]
    outcome = await replica.run()
    assert [each.what for each in outcome.troubles] == [f"{HOST}/a@{away.digest}"]
    assert await replica.tags("a") == {"v1": image.digest}
    assert not await replica.has("a", sbom)


async def test_a_tag_that_was_deleted_since_it_was_listed_is_a_note() -> None:
    replica = Replica(rule("a"))
    replica.source["a"].image("x", "v1", "v2")
    replica.source.raises["resolve"] = [ManifestUnknown("gone")]
    outcome = await replica.run()
    assert outcome.complete and outcome.tags == 1
    (note,) = outcome.notes
    assert note.startswith(f"{HOST}/a:v1 was deleted")


async def test_a_repository_that_never_was_is_a_trouble() -> None:
    replica = Replica(rule("a"), rule("misspelt"))
    replica.source["a"].image("x", "v1")
    outcome = await replica.run()
    assert [each.what for each in outcome.troubles] == [f"{HOST}/misspelt"]
    assert not outcome.notes


async def test_rules_and_repositories_that_select_nothing_are_told() -> None:
    replica = Replica(rule("a", "x*"), rule("b*"), rule("a*", "v1"))
    replica.source["a"].image("x", "v1")
    outcome = await replica.run()
    assert outcome.complete
    assert outcome.notes == (
        f"rule a selects nothing of {HOST}",
        f"rule b* selects nothing of {HOST}",
    )
    assert [(each.rule, each.registry) for each in outcome.idle] == [("a", HOST), ("b*", HOST)]
    replica.rules = Rules((rule("a", "x*"),))
    assert f"{HOST}/a: none of its tags is taken by a rule" in (await replica.run()).notes


async def test_what_could_not_be_listed_is_not_called_nothing() -> None:
    replica = Replica(rule("b*"), rule("a"))
    replica.source["a"].image("x", "v1")
    replica.source.always["catalog"] = SourceDenied("answered 401")
    outcome = await replica.run()
    assert [each.what for each in outcome.troubles] == [HOST]
    assert not outcome.notes
    assert set(await replica.tags("a")) == {"v1"}


@pytest.mark.parametrize("repos", ["{a}", "{a,gone}", "[a]", "re:a", "re:(a|gone)", "a z*", "{a,gone} z*"])
async def test_few_names_need_no_list_of_repositories(repos: str) -> None:
    replica = Replica(rule(repos))
    replica.source["a"].image("x", "v1")
    replica.source.always["catalog"] = SourceDenied("answered 401")
    outcome = await replica.run()
    assert (outcome.tags, outcome.held) == (1, 1)
    assert outcome.complete is ("z*" not in repos)
    gone = [f"{HOST}/gone does not exist at its source"] if "gone" in repos else []
    assert list(outcome.notes) == gone


# What documents name


def about(data: bytes = BYTES, media_type: str = LAYER, **more: Any) -> dict[str, Any]:
    return descriptor(media_type, data, **more)


DOCUMENTS: list[dict[str, Any]] = [
    {"mediaType": SCHEMA_1, "schemaVersion": 1, "fsLayers": [{"blobSum": str(Digest.of(BYTES))}]},
    {
        "mediaType": SCHEMA_1.replace("+json", "+prettyjws"),
        "fsLayers": [{"blobSum": str(Digest.of(BYTES))}],
        "signatures": [{"signature": "x"}],
    },
    {"mediaType": "application/json", "schemaVersion": 1, "fsLayers": [{"blobSum": str(Digest.of(BYTES))}]},
    {"mediaType": ARTIFACT, "artifactType": "application/x", "blobs": [about()]},
    {"mediaType": "application/vnd.example+json", "config": about(b"{}"), "layers": [about()]},
    {"mediaType": "application/vnd.example+json", "descriptors": [about()]},
    {"mediaType": "application/vnd.example+json", "ref": str(Digest.of(BYTES))},
    {"mediaType": "application/vnd.example+json", "all": [[str(Digest.of(BYTES))]]},
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": about(b"{}"),
        "layers": [about(BYTES, FOREIGN)],
    },
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [about(platform={"os": "linux", "architecture": "s390x"})],
    },
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each["mediaType"][-20:])
@pytest.mark.parametrize("fill", [False, True])
async def test_what_a_document_of_any_kind_names_comes(document: dict[str, Any], fill: bool) -> None:
    """Also where a rule wants another platform: blobs are for none."""
    replica = Replica(rule("a", platforms=frozenset({ARM})), fill=fill)
    content = replica.source["a"]
    content.blob(BYTES), content.blob(b"{}")
    content.put(document, "v1")
    outcome = await replica.run()
    assert outcome.complete, outcome.troubles
    assert (await replica.held("a").blobs.stat(Digest.of(BYTES))).size == len(BYTES)
    assert await self_check(replica) == ([], 0)


@pytest.mark.parametrize("failure", [BlobUnknown("404"), SourceDenied("403"), SourceRefused("405")], ids=str)
async def test_the_size_of_a_blob_is_found_where_heads_are_refused(failure: Exception) -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    content.blob(BYTES)
    content.put(DOCUMENTS[0], "v1")
    replica.source.always["stat"] = failure
    assert (await replica.run()).complete
    assert (await replica.held("a").blobs.stat(Digest.of(BYTES))).size == len(BYTES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each["mediaType"][-20:])
async def test_what_is_named_and_not_there_is_said(document: dict[str, Any]) -> None:
    """In a note where the document is of use without it; else it is a trouble."""
    replica = Replica(rule("a"))
    content = replica.source["a"]
    content.blob(b"{}")
    content.put(document, "v1")
    outcome = await replica.run()
    needed = not ("ref" in document or "all" in document or FOREIGN in str(document))
    assert outcome.complete is not needed
    told = [each.what + each.why for each in outcome.troubles] if needed else list(outcome.notes)
    assert any(str(Digest.of(BYTES)) in each for each in told)
    assert bool(await replica.tags("a")) is not needed


@pytest.mark.parametrize(
    ("media_type", "child_type"),
    [
        ("application/vnd.example.index+json", OCI_MANIFEST),
        (OCI_INDEX, "application/vnd.example.kind.manifest+json"),
        (OCI_INDEX, "application/vnd.example.kind"),
        (OCI_INDEX, SCHEMA_1),
    ],
)
async def test_children_of_any_kind_come(media_type: str, child_type: str) -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    if child_type == OCI_MANIFEST:
        child = content.image("child")
        named = {each.digest for each in child.blobs()}
    else:
        content.blob(BYTES)
        child = content.put({"mediaType": child_type, "fsLayers": [{"blobSum": str(Digest.of(BYTES))}]})
        named = {Digest.of(BYTES)}
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": [child.descriptor.document()]}
    content.put(document, "v1")
    outcome = await replica.run()
    assert outcome.complete, outcome.troubles
    assert await replica.has("a", child)
    for digest in named:
        await replica.held("a").blobs.stat(digest)
    assert await self_check(replica) == ([], 0)


async def test_a_hint_may_lead_to_a_manifest() -> None:
    replica = Replica(rule("a", "v1"))
    content = replica.source["a"]
    image = content.image("x")
    content.put({"mediaType": "application/vnd.example+json", "ref": str(image.digest)}, "v1")
    assert (await replica.run()).complete
    assert await replica.has("a", image)


async def test_a_digest_that_cannot_be_checked_is_said_where_it_is_wanted() -> None:
    replica = Replica(rule("a", platforms=frozenset({AMD})))
    content = replica.source["a"]
    image = content.image("x")
    odd = {"mediaType": OCI_MANIFEST, "size": 3, "digest": "blake3:" + "0" * 64}
    amd = image.descriptor.document() | {"platform": {"os": "linux", "architecture": "amd64"}}
    document = {"schemaVersion": 2, "mediaType": "application/vnd.example+json", "manifests": [amd, odd]}
    content.put(document, "v1")
    (trouble,) = (await replica.run()).troubles
    assert "blake3:" in trouble.why


@pytest.mark.parametrize("first", ["a", "b"])
async def test_whoever_names_a_wrong_size_fails_alone(first: str) -> None:
    replica = Replica(rule("a b"))
    good = replica.source["b" if first == "a" else "a"].image("x", "1")
    bad = replica.source[first]
    bad.blobs |= replica.source["b" if first == "a" else "a"].blobs
    layers = [good.layers[0].document() | {"size": 2_999}]
    config = good.config.document() if good.config else None
    bad.put({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}, "1")
    outcome = await replica.run()
    assert not outcome.complete
    assert await replica.tags(first) == {}
    assert set(await replica.tags("b" if first == "a" else "a")) == {"1"}


# Platforms


@pytest.mark.parametrize("wanted", [Platform("linux", "arm46"), Platform("x86_64", "linux"), ARM])
async def test_an_index_of_which_nothing_is_wanted_is_a_trouble_of_its_tag(wanted: Platform) -> None:
    replica = Replica(rule("a", platforms=frozenset({wanted})))
    content = replica.source["a"]
    attestation = content.image("attests")
    child = content.image("amd")
    attested = {"vnd.docker.reference.digest": str(child.digest)}
    manifests = [
        child.descriptor.document() | {"platform": {"os": "linux", "architecture": "amd64"}},
        attestation.descriptor.document()
        | {"platform": {"os": "unknown", "architecture": "unknown"}, "annotations": attested},
    ]
    content.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}, "v1")
    for _ in range(2):
        (trouble,) = (await replica.run()).troubles
        assert trouble.what == f"{HOST}/a:v1"
        assert trouble.why == f"nothing of it is for {wanted}; it has linux/amd64"
    assert await replica.tags("a") == {}


async def test_a_plain_image_is_taken_and_that_is_written_down() -> None:
    replica = Replica(rule("a", platforms=frozenset({ARM})))
    replica.source["a"].image("x", "v1")
    outcome = await replica.run()
    assert outcome.complete and outcome.held == 1
    assert outcome.notes == (f"{HOST}/a:v1 is no index: taken whatever platform it is for",)


async def test_indexes_in_an_index_count_together() -> None:
    replica = Replica(rule("a", platforms=frozenset({ARM})))
    content = replica.source["a"]
    amd = content.index({"linux/amd64": content.image("amd")})
    arm = content.index({"linux/arm64": content.image("arm")})
    content.index({"": amd, "x": arm}, "v1")
    assert (await replica.run()).complete


async def test_a_child_that_is_listed_for_two_platforms_is_there_for_each() -> None:
    replica = Replica(rule("a", platforms=frozenset({AMD})))
    content = replica.source["a"]
    image = content.image("x")
    for_each = [
        image.descriptor.document() | {"platform": {"os": "linux", "architecture": each}}
        for each in ("amd64", "arm64")
    ]
    content.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": for_each}, "v1")
    assert (await replica.run()).complete
    assert await replica.has("a", image)


async def test_a_replica_that_its_rules_made_is_well() -> None:
    replica = Replica(rule("a", platforms=frozenset({AMD})))
    content = replica.source["a"]
    amd, arm = content.image("amd"), content.image("arm")
    content.index({"linux/amd64": amd, "linux/arm64": arm}, "v1")
    await replica.run()
    assert await self_check(replica) == ([], 1)
    replica.rules = Rules((rule("a", platforms=frozenset({ARM})),))
    await replica.run()
    assert await self_check(replica) == ([], 0), "what came for one rule stays when another leaves it out"
    await replica.blobs.records.delete(
        [k async for k in replica.blobs.records.walk("") if amd.digest.hex in k]
    )
    assert (await self_check(replica))[0] == [Fault.DANGLING_CHILD]


# What hangs beside


@pytest.mark.parametrize(
    "failure", [SourceErred("500"), SourceRefused("418"), SourceDenied("403"), SourceUnavailable("no answer")]
)
async def test_an_image_comes_without_its_referrers_being_known(failure: Failure) -> None:
    replica = Replica(rule("a"))
    image = replica.source["a"].image("x", "v1")
    replica.source.always["referrers"] = failure
    for _ in range(2):
        outcome = await replica.run()
        assert outcome.complete and outcome.held == 1
        assert outcome.notes == (f"{HOST}/a:v1 referrers of {image.digest} are not known: {failure.reason}",)
    replica.source.always.clear()
    signature = replica.source["a"].image("sig", subject=image)
    assert not (await replica.run()).notes
    assert await replica.has("a", signature)


@pytest.mark.parametrize("kind", ["resolve", "manifest", "referrers", "tags", "blob", "catalog"])
@pytest.mark.parametrize("failure", [SourceThrottled, SourceUnavailable, "503 without a time"])
async def test_what_is_refused_for_now_is_asked_again_in_the_same_run(
    kind: str, failure: type[Failure] | str
) -> None:
    replica = Replica(rule("a*"))
    replica.again = (0.0, 0.0, 0.0)
    for n in range(4):
        replica.source["a"].image(str(n), f"v{n}")
    refusal = SourceUnavailable(failure) if isinstance(failure, str) else failure("later", retry_after=0.01)
    replica.source.raises[kind] = [refusal for _ in range(2)]
    outcome = await replica.run()
    assert outcome.complete and not outcome.notes
    assert outcome.held == 4


async def test_a_referrers_tag_is_asked_for_only_where_it_is_listed() -> None:
    replica = Replica(rule("a"))
    image = replica.source["a"].image("x", "v1")
    await replica.run()
    replica.source["a"].tags[Tag(str(image.digest).replace(":", "-"))] = image.digest
    replica.now += 4_000
    await replica.run()
    assert replica.source.tagged == [False, True]


PAGES = [b'{"errors":[{"code":"UNAUTHORIZED"}]}', b"{}", b"[]", b"<html>sign in</html>", b'{"message":"back at noon"}',
         b'{"schemaVersion":2}', b'{"mediaType":"%s","errors":[]}' % OCI_MANIFEST.encode()]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.decode()[:30])
@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX, SCHEMA_1, ARTIFACT])
async def test_a_page_takes_no_tag_whatever_it_is_called(page: bytes, media_type: str) -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    image = content.image("old", "v1")
    await replica.run()
    content.put_bytes(page, media_type, "v1")
    outcome = await replica.run()
    assert not outcome.complete
    assert ["points a tag at what is no manifest" in str(each) for each in outcome.troubles] == [True]
    assert await replica.tags("a") == {"v1": image.digest}


async def test_half_a_character_in_a_manifest_stops_no_run() -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    image = content.image("x", "v1")
    text = image.data.decode()[:-1] + ', "annotations": {"a": "\\ud800"}}'
    odd = content.put_bytes(text.encode(), OCI_MANIFEST, "v2")
    outcome = await replica.run()
    assert outcome.complete and outcome.held == 2
    assert await replica.has("a", odd)
