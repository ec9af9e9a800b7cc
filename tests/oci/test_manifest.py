"""Documents that are made to hurt."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.oci.errors import ManifestInvalid
from registry_mesh.oci.manifest import MAX_DEPTH, Manifest
from registry_mesh.oci.media_types import OCI_INDEX


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


@given(st.binary(max_size=200) | st.text('{}[]":,\\0a', max_size=200).map(str.encode))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    try:
        Manifest.parse(data, OCI_INDEX)
    except ManifestInvalid:
        return
    json.loads(data)
