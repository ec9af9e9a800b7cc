"""The storage that a configuration names. What speaks to buckets is imported only where one is named."""

from __future__ import annotations

import logging
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.sources.admission import admission_of
from registry_mesh.config.schema import Config
from registry_mesh.config.stores import S3, Disk
from registry_mesh.content.snapshot.records.history import RunHistory
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import Failure, StoreUnfit
from registry_mesh.ports.records import Records
from registry_mesh.ports.remainders import Remainders
from registry_mesh.ports.storage import Storage
from registry_mesh.ports.uploads import Uploads
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.remainders import DiskRemainders
from registry_mesh.stores.disk.storage import open_disk, records_below
from registry_mesh.tasks.files import Files
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.telemetry.logs import FIELDS

if TYPE_CHECKING:
    from registry_mesh.stores.bucket.settings import S3Settings


log: Final = logging.getLogger(__name__)


class NotBuilt(Exception):
    """The configuration asks for something that this version cannot build."""


async def open_storage(config: Config, *, adopt: bool = False, last: LastFiles | None = None) -> Storage:
    """Open it, made where there is none; a site's can hold blobs in part. `adopt`: take over another node's, which is
    `StoreForeign` else. `last` knows what files said. `StoreBroken`."""
    admission = admission_of(config, adopt=adopt)
    expiry = config.pushes.upload_expiry
    disk, s3 = config.store.disk, config.store.s3
    if disk is not None:
        evict, fsync = config.role == "site", _fsync(config, disk)
        return await open_disk(
            Path(disk.path),
            quota=disk.quota,
            evict=evict,
            fsync=fsync,
            expiry=expiry,
            admission=admission,
        )
    assert s3 is not None, "the schema demands one of them"
    from registry_mesh.stores.bucket.storage import open_bucket, open_bucket_cache

    settings = s3_settings(s3, last)
    if config.role == "site":
        return await open_bucket_cache(settings, admission)
    return await open_bucket(settings, expiry=expiry, admission=admission)


async def enter_store(config: Config, *, adopt: bool) -> None:
    """Write whose the store is, where that is not said, without opening it. `StoreForeign` where it is another's and
    is not to be taken over (`adopt`), `StoreBroken`."""
    admission, folder, s3 = admission_of(config, adopt=adopt), disk_path(config), config.store.s3
    if folder is not None:
        await admission.check(records_below(folder), str(folder))
    if s3 is not None:
        from registry_mesh.stores.bucket.storage import enter_bucket

        await enter_bucket(s3_settings(s3), admission)
    if folder is not None:
        await admission.admit(records_below(folder), str(folder))


async def check_owner(config: Config) -> None:
    """`StoreForeign` where the folder that `config` names is another node's. Nothing is written."""
    folder = disk_path(config)
    if folder is not None:
        await admission_of(config).check(records_below(folder), str(folder))


def disk_path(config: Config) -> Path | None:
    """The folder of this machine that holds the store, or a bucket's spool; None where there is none."""
    folder = config.store.folder
    return Path(folder) if folder and (config.store.disk is not None or config.role == "site") else None


def work_folder(config: Config, name: str) -> Path:
    """Where files are worked on: beside the store, for they are as large as what is in it; of a node without a disk of
    its own, in the machine's folder for temporary files."""
    beside = disk_path(config)
    return (beside or Path(tempfile.gettempdir()) / f"registry-mesh-{node_name(config)}") / name


def remainders_of(config: Config) -> Remainders:
    """Where a node that brings blobs into a bucket keeps what the bucket lacks of them yet."""
    return DiskRemainders(work_folder(config, "arriving"))


def _fsync(config: Config, disk: Disk) -> DiskFsync:
    if disk.fsync is not None:
        return DiskFsync(disk.fsync)
    return DiskFsync.NEVER if config.role == "site" else DiskFsync.COMMIT


async def try_bucket(s3: S3) -> None:
    """Open the bucket and close it again: two small objects are written and removed. `StoreBroken`."""
    from registry_mesh.stores.bucket.storage import open_bucket

    await (await open_bucket(s3_settings(s3))).close()


def s3_settings(s3: S3, last: LastFiles | None = None) -> S3Settings:
    """The section of the configuration as the bucket's room takes it. The file of authorities is read here, else what
    it said `last`. `StoreUnfit`."""
    from registry_mesh.stores.bucket.settings import S3Settings, SpoolSettings

    return S3Settings(
        bucket=s3.bucket,
        endpoint=s3.endpoint,
        prefix=s3.prefix,
        region=s3.region,
        redirect=s3.redirect,
        redirect_min=s3.redirect_min,
        timeout=s3.timeout,
        quota=s3.quota,
        max_age=s3.max_age,
        path_style=s3.path_style,
        ca=_authorities(s3.ca, last or LastFiles()) if s3.ca else None,
        spool=SpoolSettings(Path(s3.spool.path), s3.spool.quota) if s3.spool else None,
    )


def _authorities(file: str, last: LastFiles) -> bytes:
    """Certificates in PEM."""

    def read(files: Files) -> bytes:
        ssl.create_default_context(cafile=files.at(file))
        return files.data(file)

    def tell(fault: Exception) -> None:
        said = {"file": file, "why": str(fault)}
        log.error("authorities of the bucket cannot be used: the old ones hold", extra={FIELDS: said})

    try:
        return last.read([file], read, tell)
    except OSError as fault:  # ssl.SSLError is one
        raise StoreUnfit(f"store.s3.ca {file} cannot be used: {fault.strerror or fault}") from None


def uploads_of(storage: Storage) -> Uploads:
    """`NotBuilt` where it takes none."""
    if storage.uploads is None:
        raise NotBuilt("an origin does not run on a cache")
    return storage.uploads


def cache_of(storage: Storage) -> CacheStore:
    """`NotBuilt` where it cannot hold blobs in part."""
    if storage.cache is None:
        raise NotBuilt("blobs in part are not kept in a bucket without a spool")
    return storage.cache


def run_history(config: Config, storage: Storage) -> RunHistory:
    """Of the node's rules."""
    return RunHistory(own_records(config, storage))


def own_records(config: Config, storage: Storage) -> Records:
    """Those of this node alone: sites may share a bucket, each with runs of its own."""
    is_shared = config.role == "site" and storage.disk is not None
    return storage.disk.records if is_shared and storage.disk else storage.records


async def write_fault(storage: Storage) -> str | None:
    """What keeps the disk from being written to, or the bucket from being reached; None where nothing does."""
    try:
        if storage.disk is not None:
            await storage.disk.try_writing()
        await storage.try_reaching()
    except Failure as fault:
        return fault.reason
    return None
