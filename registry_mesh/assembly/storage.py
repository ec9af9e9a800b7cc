"""The store that a configuration names. What speaks to buckets is imported only where one is named."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from registry_mesh.config.schema import S3, Config, Disk
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.partial import CacheStore
from registry_mesh.ports.shared import SharedStore
from registry_mesh.ports.uploads import Uploads
from registry_mesh.stores.disk.durability import FsyncPolicy
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.uploads import DiskUploads

if TYPE_CHECKING:
    from registry_mesh.stores.bucket.cache import S3CacheStore
    from registry_mesh.stores.bucket.settings import S3Settings
    from registry_mesh.stores.bucket.store import S3Store

    Store = DiskStore | S3Store | S3CacheStore
else:
    Store = DiskStore


class NotBuilt(Exception):
    """The configuration asks for something that this version cannot build."""


async def open_store(config: Config) -> Store:
    """Open it, made where there is none; a site's can hold blobs in part. `StoreBroken`."""
    if config.store.disk is not None:
        disk = config.store.disk
        evict = config.role == "site"
        return await DiskStore.start(
            Path(disk.path), quota=disk.quota, evict=evict, fsync=_fsync(config, disk)
        )
    assert config.store.s3 is not None, "the schema demands one of them"
    from registry_mesh.stores.bucket.cache import S3CacheStore
    from registry_mesh.stores.bucket.store import S3Store

    settings = s3_settings(config.store.s3)
    return await (S3CacheStore if config.role == "site" else S3Store).start(settings)


def _fsync(config: Config, disk: Disk) -> FsyncPolicy:
    if disk.fsync is not None:
        return FsyncPolicy(disk.fsync)
    return FsyncPolicy.NEVER if config.role == "site" else FsyncPolicy.COMMIT


def s3_settings(s3: S3) -> S3Settings:
    from registry_mesh.stores.bucket.settings import S3Settings, SpoolSettings

    return S3Settings(
        bucket=s3.bucket,
        endpoint=s3.endpoint,
        prefix=s3.prefix,
        region=s3.region,
        redirect=s3.redirect,
        redirect_min=s3.redirect_min,
        path_style=s3.path_style,
        ca=Path(s3.ca) if s3.ca else None,
        spool=SpoolSettings(Path(s3.spool.path), s3.spool.quota) if s3.spool else None,
    )


def redirect_from(config: Config) -> int | None:
    """Bytes from which on clients are sent to the store itself; None: never."""
    s3 = config.store.s3
    return s3.redirect_min if s3 is not None and s3.redirect == "blobs" else None


def open_uploads(config: Config, store: Store) -> Uploads:
    """Where an origin keeps uploads under way: beside the blobs, and as durable as they."""
    expiry = config.pushes.upload_expiry
    if isinstance(store, DiskStore):
        disk = config.store.disk
        assert disk is not None
        fsync = _fsync(config, disk)
        return DiskUploads(Path(disk.path) / "uploads", store, time.time, fsync=fsync, expiry=expiry)
    from registry_mesh.stores.bucket.store import S3Store

    if isinstance(store, S3Store):
        return store.uploads(expiry=expiry)
    raise NotBuilt("an origin does not run on a cache")


async def tidy(store: Store) -> None:
    """What a store needs done now and then, by one process of a node: forget what died on its way."""
    if not isinstance(store, DiskStore):
        await store.sweep()


def as_cache(store: Store) -> CacheStore:
    """The store, that can hold blobs in part; `NotBuilt` where it cannot."""
    if isinstance(store, DiskStore):
        return store
    from registry_mesh.stores.bucket.cache import S3CacheStore

    if isinstance(store, S3CacheStore):
        return store
    raise NotBuilt("blobs in part are not kept in a bucket without a spool")


def shared_of(store: Store) -> SharedStore | None:
    """The store, where its blobs are shared with other sites."""
    if isinstance(store, DiskStore):
        return None
    from registry_mesh.stores.bucket.cache import S3CacheStore

    return store if isinstance(store, S3CacheStore) else None


def stored(config: Config, store: Store | None) -> tuple[int | None, int | None]:
    """Bytes used and allowed on this machine's disk; None where that is not known, or not bounded."""
    spool = config.store.s3.spool if config.store.s3 else None
    disk = config.store.disk or spool
    here = disk_of(store)
    return (here.used if here else None), disk.quota if disk else None


def disk_of(store: Store | None) -> DiskStore | None:
    """The part of a store that lies on this machine's disk."""
    here = store if isinstance(store, DiskStore) else getattr(store, "spool", None)
    return here if isinstance(here, DiskStore) else None


async def write_fault(store: Store) -> str | None:
    """What keeps its disk from being written to; None where nothing does."""
    disk = disk_of(store)
    if disk is None:
        return None
    try:
        await disk.try_writing()
    except Failure as fault:
        return fault.reason
    return None
