"""Image manifests and indexes (OCI image-spec manifest.md, image-index.md; Docker manifest v2, list v2)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from registry_mesh.oci.descriptor import Descriptor, parse_annotations
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST, is_media_type
from registry_mesh.oci.refusals import ManifestInvalid

MAX_DEPTH: Final = 32
MAX_DESCRIPTORS: Final = 100_000

_STRINGS: Final = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL
)  # linear: an unfinished one matches
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_BRACKETS: Final = re.compile(r"[\[\]{}]")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or an index: its exact bytes, its media type, and what it refers to."""

    media_type: str
    data: bytes = field(repr=False)
    digest: Digest
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """Itself, as a referrers list shows it (distribution-spec, "Listing Referrers")."""
        return Descriptor(self.media_type, self.digest, len(self.data), self.artifact_type, self.annotations)

    def blobs(self) -> Iterator[Descriptor]:
        """The config and the layers, each as often as it is named."""
        if self.config is not None:
            yield self.config
        yield from self.layers

    @classmethod
    def parse(cls, data: bytes, media_type: str, digest: Digest | None = None) -> Manifest:
        """The document, checked; `ManifestInvalid` says what is wrong.

        `media_type` is what it was announced as (its parameters cut off); `digest` the known digest, else
        sha256 is computed. A media type that is neither manifest nor index is kept opaque: any JSON object
        passes, and what it names is not demanded (`oci.mentions` tells what that is).
        """
        document = _decode(data)
        media_type = _media_type(document, media_type)
        if media_type in MANIFESTS or media_type in INDEXES:
            _demand_version(document)
        if "layers" in document and "manifests" in document:  # CVE-2021-41190
            raise ManifestInvalid("both layers and manifests: neither a manifest nor an index")
        digest = digest or Digest.of(data)
        subject = document.get("subject")
        subject = Descriptor.parse(subject, "subject") if subject is not None else None
        annotations = parse_annotations(document.get("annotations"), "manifest")
        artifact_type = document.get("artifactType")
        if artifact_type is not None and not isinstance(artifact_type, str):
            raise ManifestInvalid("artifactType is not a string")
        config: Descriptor | None = None
        layers: tuple[Descriptor, ...] = ()
        children: tuple[Descriptor, ...] = ()
        if media_type in INDEXES:
            children = _descriptors(document, "manifests", required=True)
        elif media_type in MANIFESTS:
            config, layers = _config_and_layers(document, media_type)
            artifact_type = artifact_type or config.media_type
        return cls(media_type, data, digest, config, layers, children, subject, artifact_type, annotations)


def _config_and_layers(
    document: dict[str, Any], media_type: str
) -> tuple[Descriptor, tuple[Descriptor, ...]]:
    if "config" not in document:
        raise ManifestInvalid("config is missing")
    config = Descriptor.parse(document["config"], "config")
    required = media_type == OCI_MANIFEST and not document.get("artifactType")
    return config, _descriptors(document, "layers", required=required)


def _decode(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode("utf-8")
        _guard_depth(text)
        document = json.loads(
            text, parse_constant=_no_constant, parse_int=_bounded_int, object_pairs_hook=_unique_keys
        )
        if _SURROGATE.search(text):  # half a character is no Unicode text, and nothing can be written of it
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as fault:
        raise ManifestInvalid(
            f"not JSON: {str(fault)[:200]}", bytes=len(data), position=getattr(fault, "pos", None)
        ) from None
    if not isinstance(document, dict):
        raise ManifestInvalid("not a JSON object")
    return document


def _demand_version(document: dict[str, Any]) -> None:
    version = document.get("schemaVersion")
    if version != 2 or isinstance(version, bool):
        raise ManifestInvalid(
            "schemaVersion is not 2", given=version if isinstance(version, int | str) else None
        )


def _guard_depth(text: str) -> None:
    """Refuse deep nesting before the recursive decoder sees it. (What an unfinished string hides from the count, the
    decoder never reaches.)"""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "{[" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("an object names a key twice")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _bounded_int(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number of more than 20 digits")
    return int(digits)


def _media_type(document: dict[str, Any], announced: str) -> str:
    announced = announced.partition(";")[0].strip().lower()  # types have no case (RFC 9110, 8.3.1)
    stated = document.get("mediaType")
    if stated is not None and not isinstance(stated, str):
        raise ManifestInvalid("mediaType is not a string")
    if stated and not is_media_type(stated):
        raise ManifestInvalid("mediaType is not a media type", given=stated[:200])
    if announced and not is_media_type(announced):
        raise ManifestInvalid("Content-Type is not a media type", given=announced[:200])
    stated = stated.lower() if stated else ""
    if announced and stated and announced != stated:
        raise ManifestInvalid(
            "mediaType differs from Content-Type", mediaType=stated[:200], contentType=announced
        )
    if announced or stated:
        return announced or stated
    return OCI_INDEX if "manifests" in document else OCI_MANIFEST


def _descriptors(document: dict[str, Any], name: str, *, required: bool) -> tuple[Descriptor, ...]:
    value = document.get(name)
    if value is None and not required:
        return ()
    if not isinstance(value, list):
        raise ManifestInvalid(f"{name} is missing or not a list")
    if len(value) > MAX_DESCRIPTORS:
        raise ManifestInvalid(f"more than {MAX_DESCRIPTORS} {name}")
    return tuple(Descriptor.parse(each, f"{name}[{i}]") for i, each in enumerate(value))
