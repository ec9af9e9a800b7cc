"""Whole origins, small: in memory or on a disk, with a clock in the test's hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.happenings import Outbox
from registry_mesh.ports.pushes import Pusher, Pushes
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.digest_life import Grace, Lifecycle
from registry_mesh.repositories.of_origin import MayRead, Repositories, nobody
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.uploads import DiskUploads
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.stores.memory.uploads import MemoryUploads

REGISTRY = RegistryName("registry.example")
ALICE = Pusher("alice")
BOB = Pusher("bob")
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass
class HandClock:
    """Time moves when the test says so."""

    now: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def memory_origin(
    policy: PushPolicy | None = None,
    grace: Grace | None = None,
    may_read: MayRead = nobody,
    clock: HandClock | None = None,
    quotas: Mapping[str, int] | None = None,
    outbox: Outbox | None = None,
) -> Repositories:
    clock = clock or HandClock()
    store = MemoryStore()
    lifecycle = Lifecycle(store.records, clock, grace, clock.sleep)
    return Repositories(
        store.records,
        store,
        MemoryUploads(store, clock),
        lifecycle,
        policy,
        may_read,
        quotas,
        outbox=outbox,
    )


async def disk_origin(
    root: Path,
    policy: PushPolicy | None = None,
    grace: Grace | None = None,
    may_read: MayRead = nobody,
    clock: HandClock | None = None,
) -> Repositories:
    clock = clock or HandClock()
    store = await DiskStore.start(root, fsync=DiskFsync.NEVER)
    lifecycle = Lifecycle(store.records, clock, grace, clock.sleep)
    uploads = DiskUploads(root / "uploads", store, clock, fsync=DiskFsync.NEVER)
    return Repositories(store.records, store, uploads, lifecycle, policy, may_read)


def bucket_origin(
    store: S3Store,
    policy: PushPolicy | None = None,
    grace: Grace | None = None,
    may_read: MayRead = nobody,
    clock: HandClock | None = None,
) -> Repositories:
    clock = clock or HandClock()
    lifecycle = Lifecycle(store.records, clock, grace, clock.sleep)
    return Repositories(store.records, store, store.uploads(clock), lifecycle, policy, may_read)


def name(text: str) -> RepositoryName:
    return RepositoryName(text)


def repository(origin: Repositories, text: str = "atlas/athena") -> Repository:
    return origin.repository(REGISTRY, RepositoryName(text))


def pushes(repository: Repository) -> Pushes:
    assert repository.pushes is not None
    return repository.pushes


async def push_blob(repository: Repository, data: bytes, who: Pusher = ALICE) -> Descriptor:
    digest = Digest.of(data)
    async with pushes(repository).monolithic(who, digest, len(data)) as ingest:
        await ingest.write(data)
        info: BlobInfo = await ingest.commit(digest)
    return Descriptor(LAYER, info.digest, info.size)


def image(config: Descriptor, *layers: Descriptor, **more: Any) -> Manifest:
    config = Descriptor(OCI_CONFIG, config.digest, config.size)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.document(),
        "layers": [each.document() for each in layers],
    }
    return Manifest.parse(json.dumps(document | more).encode(), OCI_MANIFEST)


def index(*manifests: Manifest, **more: Any) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [plain(each).document() for each in manifests],
    }
    return Manifest.parse(json.dumps(document | more).encode(), OCI_INDEX)


def plain(manifest: Manifest) -> Descriptor:
    return Descriptor(manifest.media_type, manifest.digest, len(manifest.data))


async def push_image(
    repository: Repository, text: str, *tags: str, who: Pusher = ALICE, **more: Any
) -> Manifest:
    """An image of two blobs whose contents follow from `text`."""
    config = await push_blob(repository, f"config of {text}".encode(), who)
    layer = await push_blob(repository, f"layer of {text}".encode(), who)
    manifest = image(config, layer, **more)
    await pushes(repository).put_manifest(who, manifest, [Tag(tag) for tag in tags])
    return manifest
