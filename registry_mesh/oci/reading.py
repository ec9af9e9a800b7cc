"""Reading a manifest whose bytes are beyond doubt: what can be read of it, whatever is wrong with the rest.

A push may be refused for what its document says (`Manifest.parse`). What came under a digest that it fits is passed on
as it is; what cannot be read of it is not known, and no fault of anybody's.
"""

from __future__ import annotations

from typing import Any, Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.lenient import read_json, whole_characters, with_spelt_keys
from registry_mesh.oci.manifest import MAX_DESCRIPTORS, Manifest
from registry_mesh.oci.media_types import (
    ARTIFACT,
    INDEXES,
    KNOWN,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA_1,
    SCHEMA_1_SIGNED,
    is_vendors_json,
)
from registry_mesh.oci.refusals import ManifestInvalid

_PARTS: Final = ("config", "layers", "manifests", "fsLayers", "blobs")
"""Where manifests of any kind name what they are made of."""


def read_manifest(data: bytes, announced: str, digest: Digest | None = None) -> Manifest:
    """The manifest as far as it can be read. Nothing is raised.

    `announced` is the Content-Type it came with; `digest` the known digest, else sha256 is computed.
    """
    document = _document(data)
    media_type = media_type_of(document, announced)
    digest = digest or Digest.of(data)
    artifact_type, annotations = document.get("artifactType"), document.get("annotations")
    config = _descriptor(document.get("config")) if media_type in MANIFESTS else None
    if not isinstance(artifact_type, str) or not artifact_type:
        artifact_type = config.media_type if config is not None else None
    if not isinstance(annotations, dict):
        annotations = {}
    return Manifest(
        media_type,
        data,
        digest,
        config,
        _descriptors(document.get("layers")) if media_type in MANIFESTS else (),
        _descriptors(document.get("manifests")) if media_type in INDEXES else (),
        _descriptor(document.get("subject")),
        artifact_type,
        {key: value for key, value in annotations.items() if isinstance(value, str)},
    )


def media_type_of(document: dict[str, Any], announced: str) -> str:  # Any: JSON
    """The media type that a manifest is handed on as: what it says of itself, where that is known; else what it was
    announced as, where that is; else what it looks like. Never that of a page or of any other document."""
    stated = document.get("mediaType")
    names = [stated.lower() if isinstance(stated, str) else "", announced.partition(";")[0].strip().lower()]
    for name in names:
        if name in KNOWN:
            return name
    for name in names:
        if is_vendors_json(name):
            return name
    if "fsLayers" in document:
        return SCHEMA_1_SIGNED if "signatures" in document else SCHEMA_1
    if isinstance(document.get("manifests"), list):
        return OCI_INDEX
    return ARTIFACT if "blobs" in document and "config" not in document else OCI_MANIFEST


def looks_like_one(manifest: Manifest) -> bool:
    """Whether a document is a manifest beyond doubt, from any sender: of a known kind, or with descriptors where
    manifests have them. Pages of errors come with 200 and any Content-Type."""
    if not is_manifest(manifest):
        return False
    document = _document(manifest.data)
    stated = document.get("mediaType")
    if not document or (isinstance(stated, str) and stated.lower() in KNOWN):
        return True
    parts = [document[part] for part in _PARTS if part in document]
    return bool(parts) and ("schemaVersion" in document or any(map(_names_something, parts)))


def _names_something(part: object) -> bool:
    """Whether a part of a document has a digest where a manifest has one."""
    each = part if isinstance(part, list) else [part]
    return any(isinstance(one, dict) and ("digest" in one or "blobSum" in one) for one in each)


def is_manifest(manifest: Manifest) -> bool:
    """Whether a document may be a manifest: where a tag led to its digest, and it was there by that."""
    document = _document(manifest.data)
    if not document and _is_too_deep(manifest.data):
        return any(f'"{part}"'.encode() in manifest.data for part in _PARTS)
    if not document or "errors" in document:
        return False
    stated = document.get("mediaType")
    if isinstance(stated, str) and (stated.lower() in KNOWN or is_vendors_json(stated.lower())):
        return True
    if any(isinstance(document.get(part), dict | list) for part in _PARTS):
        return True
    return manifest.media_type not in KNOWN or (
        "schemaVersion" in document and any(map(document.__contains__, _PARTS))
    )


def _document(data: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object, or is nested beyond what a decoder bears."""
    try:
        document = read_json(data)
        if isinstance(document, dict) and not any(part in document for part in _PARTS):
            document = read_json(data, with_spelt_keys)
        document = whole_characters(document, data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_too_deep(data: bytes) -> bool:
    """Whether it is JSON that a decoder does not bear: no page of errors is."""
    try:
        read_json(data)
    except RecursionError:
        return True
    except ValueError:
        return False
    return False


def _descriptors(value: object) -> tuple[Descriptor, ...]:
    """Those of a list that can be read."""
    listed = value[:MAX_DESCRIPTORS] if isinstance(value, list) else ()
    return tuple(found for each in listed if (found := _descriptor(each)) is not None)


def _descriptor(value: object) -> Descriptor | None:
    if isinstance(value, dict) and isinstance(value.get("annotations"), dict):
        kept = {key: each for key, each in value["annotations"].items() if isinstance(each, str)}
        value = value | {"annotations": kept}
    elif isinstance(value, dict):
        value = {key: each for key, each in value.items() if key != "annotations"}
    try:
        return Descriptor.parse(value, "it")
    except ManifestInvalid:
        return None
