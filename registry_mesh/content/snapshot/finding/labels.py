"""Labels of what a tag names: annotations of its manifest, else labels that every wanted image has in its config."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
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


async def labels(
    annotations: Mapping[str, str], configs: Collection[Descriptor], keys: Iterable[str], read: Read
) -> dict[str, tuple[str, ...]]:
    """By each of `keys` that is there its values, of which images of several platforms may have several."""
    keys = tuple(dict.fromkeys(keys))
    found: dict[str, tuple[str, ...]] = {key: (annotations[key],) for key in keys if key in annotations}
    missing = [key for key in keys if key not in found]
    if not missing:
        return found
    told = await asyncio.gather(*(_told(each, read) for each in configs))
    for key in missing:
        values = tuple(dict.fromkeys(each[key] for each in told if key in each))
        if values and all(key in each for each in told):
            found[key] = values
    return found


async def _told(config: Descriptor, read: Read) -> dict[str, str]:
    """The labels of one config; none where it is no JSON of an image."""
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
