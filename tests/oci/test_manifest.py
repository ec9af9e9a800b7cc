"""Documents that are made to hurt."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.oci.manifest import MAX_DEPTH, Manifest
from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.refusals import ManifestInvalid


def nested(depth: int) -> bytes:
    inner: object = "x"
    for _ in range(depth - 1):
        inner = [inner]
    return json.dumps({"schemaVersion": 2, "manifests": [], "x": inner}).encode()


def test_depth() -> None:
    assert Manifest.parse(nested(MAX_DEPTH), OCI_INDEX)
    with pytest.raises(ManifestInvalid):
        Manifest.parse(nested(MAX_DEPTH + 1), OCI_INDEX)


@pytest.mark.parametrize("text", ["[" * 1000, "{" * 1000 + '"', 'a"' * 500, '\\"[' * 500 + '"', "\\\\"])
def test_brackets_in_strings_are_not_depth(text: str) -> None:
    document = {"schemaVersion": 2, "manifests": [], "x": text, "y": [text] * 20}
    assert Manifest.parse(json.dumps(document).encode(), OCI_INDEX)


@pytest.mark.parametrize(
    "data",
    [b"[" * 4_000_000, b'"' + b"[" * 4_000_000, b"[" * 40 + b'"' + b'\\"' * 2_000_000, b'[[[["' * 800_000,
     b'"\\' * 999_999],
)  # fmt: skip
def test_what_is_made_to_take_long_does_not(data: bytes) -> None:
    """Each takes minutes where a step of the reader is quadratic."""
    with pytest.raises(ManifestInvalid):
        Manifest.parse(data, OCI_INDEX)


@pytest.mark.parametrize(
    "half", ['"annotations": {"a": "\\ud800"}', '"artifactType": "\\uDFFF"', '"x": ["\\ud83d \\ude00"]']
)
def test_half_a_character_is_refused(half: str) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.parse(b'{"schemaVersion": 2, "manifests": [], %s}' % half.encode(), OCI_INDEX)


def test_a_whole_character_in_two_escapes_passes() -> None:
    data = b'{"schemaVersion": 2, "manifests": [], "annotations": {"a": "\\ud83d\\ude00", "b": "\\\\ud800"}}'
    assert Manifest.parse(data, OCI_INDEX).annotations == {"a": "\U0001f600", "b": "\\ud800"}


@pytest.mark.parametrize("stated", ["a", "a/b; c=d", "a/b\r\nX: y", " ", "a/b/c", "a/" + "b" * 200])
def test_a_stated_media_type_must_be_one(stated: str) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.parse(json.dumps({"schemaVersion": 2, "mediaType": stated}).encode(), "")


def test_an_unknown_media_type_needs_no_version() -> None:
    document = {"blobs": [{"digest": "md5:x"}]}
    parsed = Manifest.parse(json.dumps(document).encode(), "application/vnd.oci.artifact.manifest.v1+json")
    assert not list(parsed.blobs()) and not parsed.manifests
    with pytest.raises(ManifestInvalid):
        Manifest.parse(b'{"manifests": []}', OCI_INDEX)


@given(st.binary(max_size=200) | st.text('{}[]":,\\0a', max_size=200).map(str.encode))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    try:
        Manifest.parse(data, OCI_INDEX)
    except ManifestInvalid:
        return
    json.loads(data)
