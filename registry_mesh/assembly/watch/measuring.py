"""How fast each parent gives some bytes now, asked one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from registry_mesh.assembly.sources.parents import Parents
from registry_mesh.content.holdings.image import Image
from registry_mesh.oci.reference import RegistryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import Repository

MOST: Final = 8 * 10**6
"""Bytes that are fetched of each parent."""

Told = dict[str, Any]  # Any: JSON


async def measured(parents: Parents, images: Iterable[Image], only: frozenset[str]) -> list[Told]:
    """Of each parent, or of those named in `only`: seconds to its first byte, and bytes a second of the largest blob
    that is held of its registry; or why not."""
    samples = _samples(images)
    told = []
    for registry, groups in parents.groups.items():
        for parent in (each for group in groups for each in group):
            if only and parent.name not in only:
                continue
            line: Told = {"registry": registry, "parent": parent.name}
            if registry not in samples:
                told.append({**line, "error": "nothing of this registry is held that could be asked for"})
                continue
            image = samples[registry]
            told.append({**line, **await _one(parent.repository(image.place.repository), image)})
    return told


def _samples(images: Iterable[Image]) -> dict[RegistryName, Image]:
    """The image with the largest part, by registry."""
    found: dict[RegistryName, Image] = {}
    for image in images:
        known = found.get(image.place.registry)
        if image.parts and (known is None or _largest(image) > _largest(known)):
            found[image.place.registry] = image
    return found


def _largest(image: Image) -> int:
    return max(part.size for part in image.parts)


async def _one(repository: Repository, image: Image) -> Told:
    part = max(image.parts, key=lambda each: each.size)
    span = Span(0, min(MOST, part.size))
    began, first, size = time.monotonic(), 0.0, 0
    try:
        async with repository.blobs.open(part.digest, span) as reading:
            async for piece in reading.pieces():
                first = first or time.monotonic()
                size += len(piece)
    except (Failure, Refusal) as fault:
        return {"error": fault.reason}
    seconds = max(1e-6, time.monotonic() - began)
    return {
        "bytes": size,
        "first_byte_seconds": round(first - began, 6),
        "seconds": round(seconds, 6),
        "bytes_per_second": round(size / seconds),
    }
