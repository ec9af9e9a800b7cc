"""A replica's repositories that keep a diary: what was put, in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.of_replica import ReplicaRepositories, ReplicaRepository


class DiaryRepositories:
    """Implements `ports.repositories.RepositoryStore` over the real one."""

    def __init__(self, records: Records, blobs: BlobStore) -> None:
        self.real = ReplicaRepositories(records, blobs, lambda: 1_000.0)
        self.diary: list[str] = []
        self.instead: dict[str, type[DiaryRepository]] = {}
        """Repositories that misbehave."""

    def repository(self, registry: RegistryName, name: RepositoryName) -> DiaryRepository:
        kind = self.instead.get(name, DiaryRepository)
        return kind(self.real.repository(registry, name), self.diary)

    def repositories(self, registry: RegistryName) -> object:
        return self.real.repositories(registry)

    async def let_go(
        self, registry: RegistryName, denied: Callable[[RepositoryName, Digest], bool]
    ) -> list[tuple[RepositoryName, Digest]]:
        return await self.real.let_go(registry, denied)


@dataclass(slots=True)
class DiaryRepository:
    """Implements `ports.repositories.ReplicaRepository`; checks that parts come before what needs them."""

    real: ReplicaRepository
    diary: list[str]

    @property
    def kept(self) -> Repository:
        return self.real.kept

    async def link(self, blob: Digest) -> None:
        await self.real.link(blob)

    async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
        for blob in manifest.blobs():
            if blob.distributable and blob.digest not in left_out:
                await self.kept.blobs.stat(blob.digest)
        await self.real.put_manifest(manifest, left_out)
        self.diary.append(f"manifest {manifest.digest}")

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        await self.kept.manifests.manifest(target.digest)
        await self.real.tag(tag, target, source)
        self.diary.append(f"tag {tag}")

    async def hold(self, digest: Digest) -> bool:
        await self.kept.manifests.manifest(digest)
        self.diary.append(f"hold {digest}")
        return await self.real.hold(digest)

    async def unhold(self, digest: Digest) -> None:
        self.diary.append(f"unhold {digest}")
        await self.real.unhold(digest)

    async def pinned(self) -> list[Digest]:
        return await self.real.pinned()

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        self.diary.append(f"untag {tag}")
        return await self.real.untag(tag, target, because, change)
