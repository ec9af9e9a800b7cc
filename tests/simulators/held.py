"""A replica's store in memory that keeps a diary: what was put, in which order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from registry_mesh.content.ports import BlobStore, FetchedManifest, Referrers, Repository, Resolved, TagPage
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.errors import ManifestUnknown, NameUnknown
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag


class HeldRepositories:
    """Implements `content.ports.RepositoryStore`."""

    def __init__(self, blobs: BlobStore) -> None:
        self.blobs = blobs
        self.places: dict[tuple[str, str], HeldPlace] = {}
        self.diary: list[str] = []

    def repository(self, registry: RegistryName, name: RepositoryName) -> HeldPlace:
        return self.places.setdefault((registry, name), HeldPlace(self, registry, name))

    async def repositories(self, registry: RegistryName) -> AsyncIterator[RepositoryName]:
        for host, name in sorted(self.places):
            if host == registry:
                yield RepositoryName(name)


@dataclass(slots=True)
class HeldPlace:
    """Implements `content.ports.HeldRepository` and the sources of what it holds."""

    store: HeldRepositories
    registry: RegistryName
    name: RepositoryName
    linked: set[Digest] = field(default_factory=set)
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    pointing: dict[Tag, Descriptor] = field(default_factory=dict)
    moves: int = 0

    @property
    def held(self) -> Repository:
        return Repository(self.registry, self.name, self.store.blobs, self, self, self)

    async def link(self, blob: Digest) -> None:
        await self.store.blobs.stat(blob)
        self.linked.add(blob)

    async def put_manifest(self, manifest: Manifest) -> None:
        assert {blob.digest for blob in manifest.blobs() if blob.distributable} <= self.linked
        self.store.diary.append(f"manifest {manifest.digest}")
        self.manifests[manifest.digest] = manifest

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        assert target.digest in self.manifests
        self.store.diary.append(f"tag {tag}")
        self.pointing[tag] = target
        self.moves += 1

    async def manifest(self, digest: Digest) -> FetchedManifest:
        if digest not in self.manifests:
            raise ManifestUnknown(digest=str(digest))
        return FetchedManifest(self.manifests[digest])

    async def resolve(self, tag: Tag) -> Resolved:
        if tag not in self.pointing:
            raise ManifestUnknown(tag=tag)
        return Resolved(self.pointing[tag])

    async def tags(self, limit: int, last: str = "") -> TagPage:
        if not self.pointing:
            raise NameUnknown(name=self.name)
        after = sorted(tag for tag in self.pointing if tag > last)
        return TagPage(tuple(after[:limit]), len(after) > limit)

    async def referrers(self, subject: Digest) -> Referrers:
        found = (m.descriptor for m in self.manifests.values() if m.subject and m.subject.digest == subject)
        return Referrers(tuple(found))
