"""What documents name: those of the specification, of its past and of its future, and what is no document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.mentions import Kind, Mentions, mentions

LAYER = "application/vnd.oci.image.layer.v1.tar"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
A, B, C = (Digest.of(each) for each in (b"a", b"b", b"c"))


def about(digest: Digest | str, media_type: str = LAYER, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": 1, **more}


def of(document: object, media_type: str = "application/vnd.example.v1+json") -> Mentions:
    return mentions(document if isinstance(document, bytes) else json.dumps(document).encode(), media_type)


def needed(found: Mentions) -> dict[Digest, Kind]:
    return {each.digest: each.kind for each in found.named if each.needed}


def hints(found: Mentions) -> set[Digest]:
    return {each.digest for each in found.named if not each.needed}


@pytest.mark.parametrize(
    "media_type", [OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_MANIFEST.upper() + "; charset=utf-8"]
)
def test_an_image_names_its_config_and_layers_and_no_more(media_type: str) -> None:
    found = of(
        {"config": about(A, OCI_CONFIG), "layers": [about(B)], "annotations": {"base": str(C)}}, media_type
    )
    assert needed(found) == {A: Kind.BLOB, B: Kind.BLOB}
    assert not hints(found) and not found.is_index


def test_the_type_in_the_body_counts_where_the_announced_one_says_nothing() -> None:
    found = of({"mediaType": OCI_INDEX, "manifests": [about(A, OCI_MANIFEST)]}, "application/json")
    assert found.is_index
    assert needed(found) == {A: Kind.MANIFEST}


def test_children_of_an_index_are_manifests_blobs_or_untold() -> None:
    children = [about(A, OCI_MANIFEST), about(B), about(C, "application/vnd.example.unheard+json")]
    assert needed(of({"manifests": children}, OCI_INDEX)) == {
        A: Kind.MANIFEST,
        B: Kind.BLOB,
        C: Kind.UNTOLD,
    }


def test_a_layer_that_need_not_be_held_is_named_and_not_needed() -> None:
    found = of({"config": about(A, OCI_CONFIG), "layers": [about(B, FOREIGN)]}, OCI_MANIFEST)
    assert (needed(found), hints(found)) == ({A: Kind.BLOB}, {B})
    assert [each.foreign for each in found.named] == [False, True]


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/vnd.docker.distribution.manifest.v1+prettyjws"]
)
def test_schema_1_names_its_layers(media_type: str) -> None:
    document = {
        "schemaVersion": 1,
        "fsLayers": [{"blobSum": str(A)}, {"blobSum": str(B)}],
        "signatures": [{}],
    }
    assert needed(of(document, media_type)) == {A: Kind.BLOB, B: Kind.BLOB}


def test_an_artifact_manifest_names_its_blobs_and_its_subject_is_a_hint() -> None:
    found = of({"mediaType": ARTIFACT, "blobs": [about(A)], "subject": about(B, OCI_MANIFEST)}, ARTIFACT)
    assert (needed(found), hints(found)) == ({A: Kind.BLOB}, {B})


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"config": about(A)}, Kind.BLOB),
        ({"layers": [about(A)]}, Kind.BLOB),
        ({"blobs": [str(A)]}, Kind.BLOB),
        ({"manifests": [about(A, OCI_MANIFEST)]}, Kind.MANIFEST),
        ({"manifests": [about(A, "application/vnd.example.v2+json")]}, Kind.UNTOLD),
        ({"descriptors": [about(A, "text/plain")]}, Kind.UNTOLD),
        ({"a": {"deep": [[about(A, OCI_INDEX)]]}}, Kind.MANIFEST),
    ],
)
def test_a_type_that_is_not_known_names_what_it_describes(document: object, kind: Kind) -> None:
    assert needed(of(document)) == {A: kind}


@pytest.mark.parametrize(
    "document",
    [
        {"ref": str(A)},
        [str(A)],
        {"x": {str(A): 1}},
        str(A),
        b'{"ref": "sha256\\u003a' + A.hex.encode() + b'"}',
        b'{"ref": "' + str(A).encode() + b'", "ref": "else"}',
        b"{broken " + json.dumps(str(A)).encode(),
        b"[" * 100_000 + json.dumps(str(A)).encode(),
        b'{"n": ' + b"9" * 5_000 + b', "ref": "' + str(A).encode() + b'"}',
    ],
)
def test_elsewhere_every_string_that_is_a_digest_is_a_hint(document: object) -> None:
    assert hints(of(document)) == {A}


@pytest.mark.parametrize(
    "document",
    [
        b'{"layers": [{"digest": "' + str(A).encode() + b'"}], "layers": []}',
        json.dumps({"layers": {"0": about(A)}}).encode(),
        json.dumps({"layers": [], "config": [about(A)]}).encode(),
    ],
)
def test_a_known_type_that_is_not_understood_is_read_as_one_that_is_not_known(document: bytes) -> None:
    assert A in hints(of(document, OCI_MANIFEST))


def test_keys_are_read_however_they_are_spelt() -> None:
    """As clients written in Go read them; what stands under two spellings of one key is a hint."""
    layer = {"MediaType": "application/vnd.oci.image.layer.v1.tar", "Digest": str(A), "SIZE": 1}
    assert needed(of({"Layers": [layer]}, OCI_MANIFEST)) == {A: Kind.BLOB}
    assert needed(of({"Config": about(A), "layers": []}, OCI_MANIFEST)) == {A: Kind.BLOB}
    assert needed(of({"MANIFESTS": [about(A, OCI_MANIFEST)]}, OCI_INDEX)) == {A: Kind.MANIFEST}
    assert A in hints(of({"layers": [about(A)], "Layers": []}, OCI_MANIFEST))


def test_what_cannot_be_checked_is_said_with_its_platform() -> None:
    arm = {"os": "linux", "architecture": "arm64"}
    (found,) = of(
        {"manifests": [about("blake3:" + "0" * 64, OCI_MANIFEST, platform=arm)]}, OCI_INDEX
    ).unreadable
    assert "manifests[0] names blake3:" in found.where
    assert found.platform == arm


@given(st.binary(max_size=200) | st.text('{}[]":,\\0a', max_size=200).map(str.encode))
def test_any_bytes_are_read(data: bytes) -> None:
    assert isinstance(mentions(data, OCI_MANIFEST), Mentions)
    assert isinstance(mentions(data, ""), Mentions)


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9) | st.sampled_from([str(A), str(B), "sha256:x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["layers", "config", "manifests", "blobs", "fsLayers", "digest", "blobSum", "subject", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_no_digest_of_a_document_that_is_not_known_is_overlooked(document: object) -> None:
    text = json.dumps(document)
    found = {str(each.digest) for each in of(document).named}
    assert found == {str(each) for each in (A, B) if f'"{each}"' in text}
