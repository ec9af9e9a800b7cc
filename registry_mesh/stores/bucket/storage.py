"""A bucket as storage: an origin's or a replica's, and a site's behind a spool."""

from __future__ import annotations

from registry_mesh.ports.marker import Admission, Anybody
from registry_mesh.ports.storage import Storage, with_others
from registry_mesh.ports.uploads import EXPIRY
from registry_mesh.stores.bucket.cache import S3CacheStore
from registry_mesh.stores.bucket.holdings import BucketHoldings
from registry_mesh.stores.bucket.inspection import BucketInspection
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.exclusive import alone_below


async def open_bucket(
    settings: S3Settings, *, expiry: float = EXPIRY, admission: Admission | None = None
) -> Storage:
    """The bucket itself. It takes a blob as a whole, so it is no cache. `expiry`: seconds after its last byte until an
    upload is forgotten. `StoreForeign` where `admission` does not let us in, `StoreBroken`."""
    store = await S3Store.start(settings)
    try:
        await (admission or Anybody()).admit(store.records, settings.place)
    except BaseException:
        await store.close()
        raise
    spool = settings.spool
    return Storage(
        kind="s3",
        records_are_near=False,
        blobs=store,
        records=store.records,
        close=store.close,
        uploads=store.uploads(expiry=expiry),
        beyond=BucketInspection(store),
        quota=spool.quota if spool else None,
        alone=alone_below(spool.path / "run") if spool else with_others,
        redirect_from=settings.redirect_from,
        remove_many=store.delete_many,
        try_reaching=store.try_reaching,
        tidy=store.tidy,
    )


async def open_bucket_cache(settings: S3Settings, admission: Admission | None = None) -> Storage:
    """A site's: the bucket behind the spool that `settings` name. `StoreForeign` where `admission` does not let us into
    one of them, `StoreBroken`."""
    store = await S3CacheStore.start(settings, admission or Anybody())
    return Storage(
        kind="s3",
        records_are_near=False,
        blobs=store,
        records=store.records,
        close=store.close,
        cache=store,
        shared=store,
        disk=store.spool,
        beyond=BucketInspection(store.bucket),
        holdings=BucketHoldings(store.spool.holdings, store.bucket),
        quota=settings.spool.quota if settings.spool else None,
        alone=alone_below(settings.spool.path / "run") if settings.spool else with_others,
        redirect_from=settings.redirect_from,
        try_reaching=store.bucket.try_reaching,
        note_uses=store.spool.upkeep.note_uses,
        tidy=store.sweep,
    )


async def enter_bucket(settings: S3Settings, admission: Admission) -> None:
    """Settle whose the bucket is, and leave it. `StoreForeign`, `StoreBroken`."""
    await (await open_bucket(settings, admission=admission)).close()
