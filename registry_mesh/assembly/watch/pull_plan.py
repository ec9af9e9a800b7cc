"""What a pull would bring, and what of it is here: nothing but manifests is fetched to know that."""

from __future__ import annotations

from typing import Any, Final

from registry_mesh.content.holdings.preload import named
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import Kind, Mention
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.holdings import Holdings
from registry_mesh.ports.repositories import Repository
from registry_mesh.ports.urgency import unhurried

Told = dict[str, Any]  # Any: JSON

_CONFIG: Final = "config"


async def planned(
    repository: Repository, reference: Tag | Digest, platforms: frozenset[str], holdings: Holdings
) -> Told:
    """The parts of an image with their sizes and what is held of each, or why it would be refused."""
    sign = "@" if isinstance(reference, Digest) else ":"
    told: Told = {
        "name": f"{repository.registry}/{repository.name}{sign}{reference}",
        "registry": repository.registry,
    }
    try:
        with unhurried():
            digest = reference
            if not isinstance(digest, Digest):
                digest = (await repository.tags.resolve(digest)).descriptor.digest
            parts = await named(repository, digest, platforms)
    except (Failure, Refusal) as fault:
        return {**told, "refused": fault.reason}
    return {**told, "digest": str(digest), "parts": [await _part(each, holdings) for each in parts]}


async def _part(part: Mention, holdings: Holdings) -> Told:
    held = await holdings.held(part.digest)
    size = held if part.size is None else part.size
    kind = "manifest" if part.kind is Kind.MANIFEST else "blob"
    return {"kind": kind, "digest": str(part.digest), "size": size, "held": min(held, size)}
