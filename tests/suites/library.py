"""One repository's content, to be put at the bottom of a nest and read at its top."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.pieces import put
from registry_mesh.ports.pushes import Pushes
from registry_mesh.ports.repositories import KeptRepository
from tests.simulators.origins import ALICE, LAYER, image, index, plain
from tests.suites.blob_source import BLOBS, Blobs

REGISTRY = RegistryName("registry.example")
NAME = RepositoryName("atlas/athena")
OTHER = RepositoryName("cms/cmssw")
"""A repository of the same registry that has an image and tags of its own."""

EMPTY = RepositoryName("nobody/pushed")
"""A repository that there is not."""


@dataclass(frozen=True)
class Library:
    """Manifests come in the order in which they can be pushed."""

    blobs: Blobs
    manifests: Mapping[Digest, Manifest]
    tags: Mapping[Tag, Digest]
    subject: Manifest
    referrers: tuple[Manifest, ...]
    """Those of `subject`."""


def _artifact(subject: Manifest, number: int, config: Descriptor) -> Manifest:
    return image(
        config,
        artifactType="application/vnd.example.signature",
        annotations={"number": str(number)},
        subject=plain(subject).document(),
    )


def library() -> Library:
    """Two images, an index of them, and two referrers of one."""
    parts = [Descriptor(LAYER, digest, len(data)) for digest, data in BLOBS.items()]
    one, other = image(parts[1], *parts[2:]), image(parts[1], parts[0])
    both = index(one, other)
    signatures = tuple(_artifact(one, number, parts[1]) for number in (1, 2))
    tags = {"1": one, "latest": both, "2.0": other, "Z": one, "a": one, "_x": other}
    return Library(
        BLOBS,
        {each.digest: each for each in (one, other, both, *signatures)},
        {Tag(tag): manifest.digest for tag, manifest in tags.items()},
        one,
        signatures,
    )


LIBRARY = library()


def small() -> tuple[bytes, Manifest]:
    """The one blob and the image of `OTHER`."""
    data = b"{}"
    config = Descriptor(LAYER, Digest.of(data), len(data))
    return data, Manifest.parse(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": config.document(),
                "layers": [],
            }
        ).encode(),
        OCI_MANIFEST,
    )


async def push(pushes: Pushes, content: Library = LIBRARY) -> None:
    """Push all of it, as a client does."""
    for digest, data in content.blobs.items():
        async with pushes.monolithic(ALICE, digest, len(data)) as ingest:
            await ingest.write(data)
            await ingest.commit(digest)
    for digest, manifest in content.manifests.items():
        tags = [tag for tag, target in content.tags.items() if target == digest]
        await pushes.put_manifest(ALICE, manifest, tags)


async def push_small(pushes: Pushes) -> None:
    """Push what `OTHER` has."""
    data, manifest = small()
    async with pushes.monolithic(ALICE, Digest.of(data), len(data)) as ingest:
        await ingest.write(data)
        await ingest.commit()
    await pushes.put_manifest(ALICE, manifest, [Tag("small")])


async def bring(kept: KeptRepository, blobs: BlobStore, content: Library = LIBRARY) -> None:
    """Put all of it, as a replication does: leaves first, tags last."""
    for digest, data in content.blobs.items():
        await put(blobs, digest, data)
        await kept.link(digest)
    for digest, manifest in content.manifests.items():
        await put(blobs, digest, manifest.data)
        await kept.put_manifest(manifest)
    for tag, target in content.tags.items():
        await kept.tag(tag, plain(content.manifests[target]), "a test")
