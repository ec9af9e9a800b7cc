"""Manifests as a store has them, whichever repository they belong to: of what was pushed out, and is no tag here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from registry_mesh.content.snapshot.finding.lookups import MAX_MANIFEST
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import mentions
from registry_mesh.oci.reading import read_manifest
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.pieces import whole
from registry_mesh.ports.repositories import FetchedManifest

_UNTOLD: Final = "application/json"
"""What a manifest is, unless it says so itself."""


@dataclass(frozen=True, slots=True)
class StoredManifests:
    """Implements `ports.repositories.ManifestSource`."""

    store: BlobSource

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """Of what it names none need be here; `ManifestUnknown` where the store does not have it, or other bytes."""
        try:
            async with self.store.open(digest) as reading:
                data = await whole(reading, MAX_MANIFEST)
        except BlobUnknown:
            raise ManifestUnknown(digest=str(digest)) from None
        if Digest.of(data, digest.algorithm) != digest:
            raise ManifestUnknown(digest=str(digest))
        manifest = read_manifest(data, _UNTOLD, digest)
        named = mentions(data, manifest.media_type).named
        return FetchedManifest(manifest, left_out=frozenset(each.digest for each in named))
