"""Descriptors (OCI image-spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import is_non_distributable
from registry_mesh.oci.refusals import DigestInvalid, ManifestInvalid

_INT64 = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What is meant: media type, digest, size in bytes, and what else the document said of it."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Mapping[str, Any] | None = field(default=None, hash=False)  # Any: JSON as it came

    @property
    def distributable(self) -> bool:
        """Whether the media type lets a registry hand the content on (image-spec, layer.md, "Non-Distributable
        Layers")."""
        return not is_non_distributable(self.media_type)

    @classmethod
    def parse(cls, value: object, where: str) -> Descriptor:
        """A descriptor from decoded JSON; `ManifestInvalid` names `where` it stood."""
        if not isinstance(value, dict):
            raise ManifestInvalid(f"{where} is not an object")
        media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
        if not isinstance(media_type, str) or not media_type:
            raise ManifestInvalid(f"{where}.mediaType is missing or not a string")
        if not isinstance(digest, str):
            raise ManifestInvalid(f"{where}.digest is missing or not a string")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _INT64:
            raise ManifestInvalid(f"{where}.size is not a length in bytes")
        try:
            parsed = Digest.parse(digest)
        except DigestInvalid as refusal:
            raise ManifestInvalid(f"{where}.digest: {refusal.reason}", **refusal.detail) from None
        artifact_type = value.get("artifactType")
        platform = value.get("platform")
        return cls(
            media_type,
            parsed,
            size,
            artifact_type if isinstance(artifact_type, str) else None,
            parse_annotations(value.get("annotations"), where),
            platform if isinstance(platform, dict) else None,
        )

    def document(self) -> dict[str, Any]:
        """As JSON, in the specification's spelling."""
        out: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        if self.annotations:
            out["annotations"] = dict(self.annotations)
        if self.platform:
            out["platform"] = dict(self.platform)
        return out


def parse_annotations(value: object, where: str) -> Mapping[str, str]:
    """A map of strings; absent and null are empty."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ManifestInvalid(f"{where}.annotations is not a map of strings")
    return value
