"""Tags of other registries that are put back after a run deleted them there."""

from __future__ import annotations

from registry_mesh.content.snapshot.finding.lookups import held_data
from registry_mesh.content.snapshot.removing.outgoing import OutgoingRepository
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reading import read_manifest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.failures import SourceRefused


async def put_back(there: OutgoingRepository, tag: Tag, digest: Digest, held: BlobStore) -> None:
    """Let a tag that was deleted `there` point at `digest` again, whose manifest is there, or `held` here.
    `SourceRefused` where it is in neither place, or where the registry does not take it."""
    try:
        manifest = (await there.kept.manifests.manifest(digest)).manifest
    except (ManifestUnknown, NameUnknown):
        data = await held_data(held, digest)
        if data is None:
            raise SourceRefused(f"{digest} is neither there nor here any more") from None
        manifest = read_manifest(data, "", digest)
    await there.restore(tag, manifest)
