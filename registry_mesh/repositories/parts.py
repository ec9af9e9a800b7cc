"""One repository's documents, for those that work on the store itself: pushes, history, collection, self-check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.records import Records
from registry_mesh.repositories.keys import RepositoryKeys
from registry_mesh.repositories.linked_blobs import LinkedBlobs
from registry_mesh.repositories.manifests import ManifestShelf
from registry_mesh.repositories.tag_log import TagLogs


@dataclass(frozen=True, slots=True)
class RepositoryParts:
    """Its tags, its manifests, its blobs, and where their documents lie."""

    name: RepositoryName
    records: Records
    keys: RepositoryKeys
    tags: TagLogs
    shelf: ManifestShelf
    blobs: LinkedBlobs

    @classmethod
    def of(
        cls,
        name: RepositoryName,
        records: Records,
        blobs: BlobStore,
        clock: Callable[[], float],
        history: int,
    ) -> RepositoryParts:
        """The parts of the repository of that name over `records` and `blobs`."""
        keys = RepositoryKeys(name)
        return cls(
            name,
            records,
            keys,
            TagLogs(records, keys, clock, history),
            ManifestShelf(records, blobs, keys),
            LinkedBlobs(records, blobs, keys),
        )

    async def have(self, digest: Digest) -> bool:
        """Whether the repository has it, as a blob or as a manifest."""
        return await self.blobs.linked_at(digest) is not None or await self.shelf.find(digest) is not None
