"""What a repository shows, as one value that can be written down: tags with digests, blobs and platforms.

Nothing is stored: a plan is made of it elsewhere, and at another time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import Repository

MAX_DEPTH: Final = 8


async def record(repository: Repository, tags: Iterable[Tag], wanted: Iterable[Tag]) -> dict[str, Any]:
    """By tag what is known of it (registry-mesh/listing/1); of tags that are not `wanted` that they are there."""
    wanted = set(wanted)
    found: dict[str, Any] = {}
    for tag in tags:
        found[tag] = await _tag(repository, tag) if tag in wanted else {}
    return found


async def _tag(repository: Repository, tag: Tag) -> dict[str, Any]:
    """What cannot be had is left out: a plan says that it is not known."""
    try:
        root = (await repository.tags.resolve(tag)).descriptor.digest
    except (ManifestUnknown, Failure):
        return {}
    told: dict[str, Any] = {"digest": str(root)}
    weighing = _Weighing(repository)
    try:
        await weighing.walk(root, None, MAX_DEPTH)
    except (Refusal, Failure):
        return told
    platforms = {name: sorted(digests) for name, digests in sorted(weighing.platforms.items())}
    return {**told, "type": weighing.type, "blobs": weighing.blobs, "platforms": platforms}


class _Weighing:
    """One walk over what a manifest names."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.blobs: dict[str, int] = {}
        self.platforms: dict[str, set[str]] = {}
        self.type = ""

    async def walk(self, digest: Digest, platform: str | None, depth: int) -> None:
        manifest = (await self._repository.manifests.manifest(digest)).manifest
        sizes = {str(blob.digest): blob.size for blob in manifest.blobs() if blob.distributable}
        self.blobs |= sizes
        config = manifest.config.media_type if manifest.config is not None else ""
        self.type = self.type or manifest.artifact_type or config
        if platform is not None:
            self.platforms.setdefault(platform, set()).update(sizes)
        for child in manifest.manifests if depth else ():
            stated = child.platform or {}
            told = "/".join(str(stated[k]) for k in ("os", "architecture", "variant") if stated.get(k))
            known = told if told and "unknown" not in told else platform
            await self.walk(child.digest, known, depth - 1)
