"""Labels as configs of images have them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG
from registry_mesh.ports.failures import SourceLied
from registry_mesh.ports.pieces import whole
from registry_mesh.ports.repositories import Repository

MAX_CONFIG: Final = 8 << 20
_CONFIGS: Final = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json")

Read = Callable[[Descriptor], Awaitable[bytes]]
"""Gives the bytes of a config."""


def is_config(blob: Descriptor) -> bool:
    """Whether a blob is the config of an image, which may have labels."""
    return blob.media_type in _CONFIGS


async def labels_of(config: Descriptor, read: Read) -> dict[str, str]:
    """The labels of one config; none where it is no JSON of an image. `Failure`, `Refusal`."""
    try:
        document = json.loads(await read(config))
        told = (document.get("config") or {}).get("Labels") or {}
        return {str(key): value for key, value in told.items() if isinstance(value, str)}
    except (ValueError, AttributeError, RecursionError):
        return {}


async def read_config(source: Repository, config: Descriptor) -> bytes:
    """Its bytes, checked, from where it is; `SourceLied` beyond `MAX_CONFIG`, or where they are others."""
    async with source.blobs.open(config.digest) as reading:
        data = await whole(reading, MAX_CONFIG)
    if Digest.of(data, config.digest.algorithm) != config.digest:
        raise SourceLied(f"other bytes than those of {config.digest}", source=str(source.registry))
    return data
