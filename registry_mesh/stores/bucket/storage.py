"""A bucket as storage: an origin's or a replica's, and a site's behind a spool."""

from __future__ import annotations

from registry_mesh.ports.storage import Storage, with_others
from registry_mesh.ports.uploads import EXPIRY
from registry_mesh.stores.bucket.cache import S3CacheStore
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.exclusive import alone_below


async def open_bucket(settings: S3Settings, *, expiry: float = EXPIRY) -> Storage:
    """The bucket itself. It takes a blob as a whole, so it is no cache. `expiry`: seconds after its last byte until an
    upload is forgotten. `StoreBroken`."""
    store = await S3Store.start(settings)
    spool = settings.spool
    return Storage(
        kind="s3",
        blobs=store,
        records=store.records,
        close=store.close,
        uploads=store.uploads(expiry=expiry),
        quota=spool.quota if spool else None,
        alone=alone_below(spool.path / "run") if spool else with_others,
        redirect_from=settings.redirect_from,
        remove_many=store.delete_many,
        tidy=store.tidy,
    )


async def open_bucket_cache(settings: S3Settings) -> Storage:
    """A site's: the bucket behind the spool that `settings` name. `StoreBroken`."""
    store = await S3CacheStore.start(settings)
    return Storage(
        kind="s3",
        blobs=store,
        records=store.records,
        close=store.close,
        cache=store,
        shared=store,
        disk=store.spool,
        quota=settings.spool.quota if settings.spool else None,
        redirect_from=settings.redirect_from,
        tidy=store.sweep,
    )
