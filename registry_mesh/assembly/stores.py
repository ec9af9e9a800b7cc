"""The store that a configuration names."""

from __future__ import annotations

from pathlib import Path

from registry_mesh.config.schema import S3, Config
from registry_mesh.stores.disk import DiskStore
from registry_mesh.stores.s3 import S3Store
from registry_mesh.stores.s3_settings import S3Settings, SpoolSettings

Store = DiskStore | S3Store


class NotBuilt(Exception):
    """The configuration asks for something that this version cannot build."""


async def open_store(config: Config) -> Store:
    """Open it, made where there is none. `StoreBroken`."""
    if config.store.disk is not None:
        disk = config.store.disk
        return await DiskStore.start(Path(disk.path), quota=disk.quota, evict=config.role == "site")
    assert config.store.s3 is not None, "the schema demands one of them"
    return await S3Store.start(s3_settings(config.store.s3))


def s3_settings(s3: S3) -> S3Settings:
    return S3Settings(
        bucket=s3.bucket,
        endpoint=s3.endpoint,
        prefix=s3.prefix,
        region=s3.region,
        spool=SpoolSettings(Path(s3.spool.path), s3.spool.quota) if s3.spool else None,
    )
