"""Manifests are read as far as they can be, and named by what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import (
    ARTIFACT,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA_1,
    SCHEMA_1_SIGNED,
)
from registry_mesh.oci.mentions import mentions
from registry_mesh.oci.reading import is_manifest, looks_like_one, read_manifest

BLOB = {"mediaType": "a/b", "digest": str(Digest.of(b"x")), "size": 1}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "config": BLOB, "layers": [BLOB]}
BLAKE = {"mediaType": "a/b", "digest": "blake3:" + "0" * 64, "size": 1}
ODD: list[dict[str, Any]] = [
    {"layers": None},
    {"layers": {}},
    {"layers": [None, 3, BLAKE, {"digest": BLOB["digest"]}, BLOB | {"size": -1}, BLOB | {"size": "1"}]},
    {"layers": [BLOB | {"digest": str(BLOB["digest"]).upper()}]},
    {"annotations": {"a": None, "b": 3}},
    {"annotations": []},
    {"artifactType": 3},
    {"subject": {"digest": "x"}},
    {"config": None},
    {"schemaVersion": "2"},
    {"mediaType": 7},
    {"manifests": [BLOB]},
]


def told(document: object, announced: str = "", **more: object) -> str:
    return read_manifest(json.dumps(document).encode(), announced).media_type


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_what_is_odd_is_passed_over(odd: dict[str, Any]) -> None:
    data = json.dumps(IMAGE | odd).encode()
    found = read_manifest(data, OCI_MANIFEST)
    assert (found.data, found.digest, found.media_type) == (data, Digest.of(data), OCI_MANIFEST)
    assert len(found.layers) == (0 if "layers" in odd else 1)


def test_what_can_be_read_of_it_is() -> None:
    layer = BLOB | {"annotations": {"a": 1, "b": "c"}}
    document = IMAGE | {"layers": [BLAKE, layer], "subject": BLOB, "annotations": {"x": None, "y": "z"}}
    found = read_manifest(json.dumps(document).encode(), OCI_MANIFEST)
    assert [dict(each.annotations) for each in found.layers] == [{"b": "c"}]
    assert found.subject is not None
    assert (found.artifact_type, found.annotations) == ("a/b", {"y": "z"})


def test_keys_are_read_however_they_are_spelt() -> None:
    data = json.dumps({"SchemaVersion": 2, "MediaType": OCI_MANIFEST, "Layers": [BLOB]}).encode()
    found = read_manifest(data, "")
    assert (len(found.layers), is_manifest(found), looks_like_one(found)) == (1, True, True)


@pytest.mark.parametrize(
    "announced", ["", "text/html", "application/json", "application/octet-stream", "x", "*/*"]
)
def test_the_type_is_the_documents_own(announced: str) -> None:
    for each in (OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, SCHEMA_1, ARTIFACT):
        assert told({"mediaType": each, "fsLayers": []}, announced) == each
        assert told({"mediaType": each.upper()}, announced) == each
        assert told({"mediaType": "text/html"}, f"{each.upper()}; charset=utf-8") == each
    assert told(IMAGE, announced) == OCI_MANIFEST
    assert told({"manifests": []}, announced) == OCI_INDEX
    assert told({"fsLayers": []}, announced) == SCHEMA_1
    assert told({"fsLayers": [], "signatures": []}, announced) == SCHEMA_1_SIGNED
    assert told({"blobs": []}, announced) == ARTIFACT
    assert told({"mediaType": "application/vnd.acme.v9+json"}, announced) == "application/vnd.acme.v9+json"


def test_a_label_yields_to_what_the_document_says() -> None:
    assert told(IMAGE | {"mediaType": OCI_MANIFEST}, DOCKER_MANIFEST) == OCI_MANIFEST
    assert told(IMAGE, DOCKER_MANIFEST) == DOCKER_MANIFEST


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        b'{"a":' * 5000,
        b'{"a":1e999,"a":' + b"9" * 9999 + b"}",
    ],
    ids=range(8),
)
def test_what_is_no_document_is_read_as_nothing(data: bytes) -> None:
    found = read_manifest(data, "text/html")
    assert (found.data, found.layers, found.media_type) == (data, (), OCI_MANIFEST)
    assert not is_manifest(found)


def test_a_mark_of_the_byte_order_and_doubled_keys_are_borne() -> None:
    data = b"\xef\xbb\xbf" + json.dumps(IMAGE).encode()
    assert len(read_manifest(data, "").layers) == 1
    assert (
        len(
            read_manifest(
                b'{"layers": null, "layers": [' + json.dumps(BLOB).encode() + b"]}", OCI_MANIFEST
            ).layers
        )
        == 1
    )


@pytest.mark.parametrize(
    "announced", ["", "text/html", "application/json", OCI_MANIFEST, "application/vnd.acme+json"]
)
@pytest.mark.parametrize(
    "page",
    [b"<html></html>", b'{"errors": [{"code": "DENIED"}]}', b"{}", b"sorry", b'"x"', b""],
)
def test_a_page_is_no_manifest(page: bytes, announced: str) -> None:
    assert not is_manifest(read_manifest(page, announced))


@pytest.mark.parametrize(
    ("document", "announced"),
    [
        (IMAGE, ""),
        (IMAGE, "application/octet-stream"),
        ({"manifests": []}, "text/plain"),
        ({"mediaType": OCI_MANIFEST, "layers": None}, ""),
        ({"fsLayers": []}, "application/json"),
        ({"x": json.loads("[" * 400 + "]" * 400), **IMAGE}, OCI_MANIFEST),
        ({"schemaVersion": 2, "config": None, "layers": None}, OCI_MANIFEST),
        ({"mediaType": "application/vnd.acme.v9+json", "x": 1}, "text/plain"),
        ({"x": 1}, "application/vnd.acme.v9+json"),
    ],
)
def test_a_manifest_is_one(document: dict[str, Any], announced: str) -> None:
    assert is_manifest(read_manifest(json.dumps(document).encode(), announced))


def test_a_note_is_no_manifest_whatever_it_is_announced_as() -> None:
    for announced in (OCI_MANIFEST, "application/json"):
        assert not is_manifest(read_manifest(b'{"schemaVersion": 2, "note": "back at noon"}', announced))


UNSURE: list[tuple[dict[str, Any], str]] = [
    ({"mediaType": "application/vnd.acme.v9+json", "schemaVersion": 2, "x": 1}, "text/plain"),
    ({"x": 1}, "application/vnd.acme.v9+json"),
    ({"manifests": []}, "text/plain"),
    ({"config": {"retry": 5}, "message": "back at noon"}, "application/json"),
]


@pytest.mark.parametrize(("document", "announced"), UNSURE, ids=str)
def test_what_may_be_a_manifest_is_none_by_its_looks(document: dict[str, Any], announced: str) -> None:
    found = read_manifest(json.dumps(document).encode(), announced)
    assert (is_manifest(found), looks_like_one(found)) == (True, False)


@pytest.mark.parametrize("kind", ["", OCI_MANIFEST, OCI_INDEX, "application/vnd.acme.v9+json"])
@pytest.mark.parametrize("part", ["config", "layers", "manifests", "blobs", "fsLayers"])
def test_what_has_the_parts_of_a_manifest_looks_like_one(kind: str, part: str) -> None:
    held = {"blobSum": BLOB["digest"]} if part == "fsLayers" else BLOB
    data = json.dumps({part: held if part == "config" else [held]}).encode()
    assert looks_like_one(read_manifest(data, kind))
    assert looks_like_one(read_manifest(b'{"schemaVersion": 2, "' + part.encode() + b'": []}', kind))


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.floats(),
        lambda s: (
            st.lists(s)
            | st.dictionaries(
                st.sampled_from(
                    ["layers", "config", "manifests", "mediaType", "digest", "size", "annotations", "subject"]
                ),
                s,
            )
        ),
    )
)
def test_nothing_is_raised(document: object) -> None:
    for announced in (OCI_MANIFEST, OCI_INDEX, ""):
        looks_like_one(read_manifest(json.dumps(document).encode(), announced))


@pytest.mark.parametrize(
    "deep", ["[" * 90_000 + "]" * 90_000, '{"a":' * 90_000 + "1" + "}" * 90_000], ids=["lists", "objects"]
)
def test_a_manifest_may_be_deeper_than_a_decoder_bears(deep: str) -> None:
    data = json.dumps(IMAGE)[:-1].encode() + b', "x": ' + deep.encode() + b"}"
    assert looks_like_one(read_manifest(data, OCI_MANIFEST))
    assert not is_manifest(read_manifest(b'{"errors": ' + deep.encode() + b"}", OCI_MANIFEST))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(IMAGE).encode() + b"\0\n",
        json.dumps(IMAGE).encode() + b" and more",
        json.dumps(IMAGE | {"x": "@"}).encode().replace(b"@", b"\xe9"),
        json.dumps(IMAGE | {"x": 0}).encode().replace(b'"x": 0', b'"x": ' + b"9" * 6000),
        json.dumps(IMAGE | {"x": 0}).encode().replace(b'"x": 0', b'"x": NaN'),
    ],
    ids=["zero", "more", "latin", "digits", "nan"],
)
def test_what_is_nearly_json_is_read(data: bytes) -> None:
    found = read_manifest(data, OCI_MANIFEST)
    assert (looks_like_one(found), len(found.layers)) == (True, 1)
    assert {each.digest for each in mentions(data, OCI_MANIFEST).named} == {Digest.of(b"x")}


def test_half_a_character_is_read_as_a_question_mark() -> None:
    """Nothing that is written, logged or shown of a manifest fails for it."""
    half = json.dumps(
        IMAGE | {"annotations": {"a": "x\ud800", "b": "\ud83d\ude00"}, "artifactType": "a/b\udfff"}
    )
    found = read_manifest(half.encode(), OCI_MANIFEST)
    assert found.annotations == {"a": "x?", "b": "\U0001f600"}
    json.dumps(found.descriptor.document(), ensure_ascii=False).encode()
    assert found.data == half.encode(), "and is passed on as it came"
    named = mentions(b'{"layers": [{"digest": "x\\ud800"}], "layers": [{"digest": "\\udfff"}]}', OCI_MANIFEST)
    assert [each.where.encode() for each in named.unreadable]
