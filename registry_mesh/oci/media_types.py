"""Media types of manifests and their parts (OCI image-spec media-types.md; Docker image manifest v2)."""

from __future__ import annotations

import re
from typing import Final

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA_1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"
ARTIFACT: Final = "application/vnd.oci.artifact.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCTETS: Final = "application/octet-stream"

MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})

KNOWN: Final = MANIFESTS | INDEXES | {SCHEMA_1, SCHEMA_1_SIGNED, ARTIFACT}
"""Every kind of manifest that registries hold."""

ACCEPT: Final = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
"""What we ask a parent for."""

_NON_DISTRIBUTABLE: Final = re.compile(
    r"application/vnd\.(oci\.image\.layer\.nondistributable|docker\.image\.rootfs\.foreign)\b.*"
)
_MANIFEST: Final = re.compile(
    r"application/(?:json|[a-z0-9!#$&^_.+-]{1,115}\+(?:json|prettyjws))", re.IGNORECASE
)
_VENDORS: Final = re.compile(r"application/vnd\.[a-z0-9!#$&^_.+-]{1,120}\+(json|prettyjws)")
_GRAMMAR: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")  # RFC 6838, 4.2


def is_media_type(text: str) -> bool:
    """Whether `text` is a bare media type (no parameters)."""
    return _GRAMMAR.fullmatch(text) is not None


def is_manifest_type(text: str) -> bool:
    """Whether `text` can be the type of a manifest, one of today's or of later ones: JSON of an application. A browser
    shows such a thing, and never runs it."""
    return _MANIFEST.fullmatch(text) is not None


def is_vendors_json(media_type: str) -> bool:
    """Whether it may be that of a manifest nobody here has heard of. No browser shows such."""
    return _VENDORS.fullmatch(media_type) is not None


def is_non_distributable(media_type: str) -> bool:
    """Layers that a registry need not hold (image-spec layer.md, "Non-Distributable Layers")."""
    return _NON_DISTRIBUTABLE.fullmatch(media_type) is not None
