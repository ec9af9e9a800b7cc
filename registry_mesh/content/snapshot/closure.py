"""Whether everything that a tag stands for is here: the second look before a tag is switched.

Shares nothing with what planned and copied: it reads what clients would be given, by the repository's own
answers, and hashes manifests anew.
"""

from __future__ import annotations

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.plan import wanted_children
from registry_mesh.replication.rules import Platforms


async def first_gap(held: Repository, root: Digest, platforms: Platforms) -> str | None:
    """What is lacking first, in words; None where nothing is."""
    left, seen = [root], {root}
    while left:
        digest = left.pop()
        try:
            manifest = (await held.manifests.manifest(digest)).manifest
            gap = await _gap(held, digest, manifest)
        except (Refusal, Failure) as fault:
            gap = f"manifest {digest}: {fault.reason}"
        if gap is not None:
            return gap
        for child in wanted_children(manifest, platforms):
            if await _is_blob(held, child):
                continue
            if child.digest not in seen:
                seen.add(child.digest)
                left.append(child.digest)
    return None


async def _gap(held: Repository, digest: Digest, manifest: Manifest) -> str | None:
    if Digest.of(manifest.data, digest.algorithm) != digest:
        return f"manifest {digest}: other bytes are stored"
    for blob in manifest.blobs():
        if not blob.distributable:
            continue
        try:
            info = await held.blobs.stat(blob.digest)
        except (Refusal, Failure) as fault:
            return f"blob {blob.digest}: {fault.reason}"
        if info.size != blob.size:
            return f"blob {blob.digest}: {info.size} bytes are stored, {blob.size} are named"
    return None


async def _is_blob(held: Repository, child: Descriptor) -> bool:
    """Children of an index that are no manifests are kept as blobs; a manifest is asked for as one."""
    if child.media_type.endswith("+json") and ("manifest" in child.media_type or "index" in child.media_type):
        return False
    return (await held.blobs.stat(child.digest)).size == child.size
