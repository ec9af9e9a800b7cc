"""What a site on a bucket holds, looked at and touched by a person."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.holdings import Holdings, StoreAccount, Uses
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.holdings import DiskHoldings


class BucketHoldings:
    """Implements `Holdings` over the spool and the bucket behind it. Pins spare the spool's copies."""

    def __init__(self, spool: DiskHoldings, bucket: S3Store) -> None:
        self._spool = spool
        self._bucket = bucket

    async def held(self, digest: Digest) -> int:
        """See `Holdings.held`."""
        with suppress(BlobUnknown):
            return (await self._bucket.stat(digest)).size
        return await self._spool.held(digest)

    async def used(self, digests: Collection[Digest]) -> Uses:
        """See `Holdings.used`. Of what passes through the spool; not of what clients fetch from the bucket."""
        return await self._spool.used(digests)

    async def drop(self, digest: Digest) -> int:
        """See `Holdings.drop`. Other sites over the bucket lose it too, but for their spools' copies."""
        freed = 0
        with suppress(BlobUnknown):
            freed = (await self._bucket.stat(digest)).size
            await self._bucket.delete(digest)
        return max(freed, await self._spool.drop(digest))

    async def account(self) -> StoreAccount:
        """See `Holdings.account`: of the spool."""
        return await self._spool.account()

    async def spare(self, digests: Collection[Digest]) -> None:
        """See `Holdings.spare`."""
        await self._spool.spare(digests)


_: type[Holdings] = BucketHoldings
