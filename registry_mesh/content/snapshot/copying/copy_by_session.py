"""One blob into a store that takes blobs as a whole alone, such as a bucket: by an upload session that outlives us.

What came of a large blob is gone on with by the next run, whichever process or host that is; of two hosts that want
it at once one waits for the other, and the bytes come once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from registry_mesh.content.snapshot.copying.copy_blob import Arriving, CopyByIngest, Moved, is_held
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import BlobUploadInvalid, BlobUploadUnknown, DigestInvalid
from registry_mesh.ports.pushes import Upload
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.uploads import Appending, Owner, Uploads

LARGE: Final = 10 << 20
"""Bytes of a blob from which on a session is worth its records, some 40 ms of CPU: no more than a kill costs beyond
it, which is two parts of S3's least size."""

_OWNER: Final = Owner(RepositoryName("replication"), "replication")


class CopyBySession:
    """Implements `copy_keys.Bring`. `whole`: for those of less than `large` bytes."""

    def __init__(
        self, whole: CopyByIngest, uploads: Uploads, records: KeyedRecords, large: int = LARGE
    ) -> None:
        self._whole = whole
        self._uploads = uploads
        self._records = records
        self._large = large

    async def __call__(self, offer: Offer, blob: Descriptor, moved: Moved) -> None:
        attempt = self._attempt if blob.size >= self._large else self._whole.ingest
        await self._whole.tried(attempt, offer, blob, moved)

    async def _attempt(self, arriving: Arriving) -> None:
        while not await is_held(self._whole.store, arriving.blob):
            try:
                return await self._go_on(arriving)
            except (BlobUploadInvalid, BlobUploadUnknown):  # another host brings it, and was waited for
                continue
        return None

    async def _go_on(self, arriving: Arriving) -> None:
        blob = arriving.blob
        async with self._appending(blob) as ingest:
            await arriving.stream(ingest, lambda: ingest.kept)
            try:
                await ingest.commit(blob.digest)
            except DigestInvalid:
                arriving.take_back()
                await self._forget(blob)
                raise await arriving.wrong() from None
        await self._forget(blob)
        await arriving.remainder.forget()

    @asynccontextmanager
    async def _appending(self, blob: Descriptor) -> AsyncIterator[Appending]:
        """Where it stands: what came stays when this is left without a commit."""
        upload = await self._session(blob)
        left = blob.size - upload.offset
        async with self._uploads.append(_OWNER, upload.id, None, left) as ingest:
            yield ingest

    async def _session(self, blob: Descriptor) -> Upload:
        """The one that was begun, by whomever; else a new one, written down before its first byte."""
        noted = await self._records.get(_key(blob))
        if noted is not None:
            try:
                return await self._uploads.status(_OWNER, noted.decode("ascii", "replace"))
            except BlobUploadUnknown:
                await self._records.delete([_key(blob)])
        upload = await self._uploads.begin(_OWNER, blob.digest.algorithm, blob.size)
        if await self._records.create(_key(blob), upload.id.encode()):
            return upload
        await self._uploads.cancel(_OWNER, upload.id)
        return await self._session(blob)

    async def _forget(self, blob: Descriptor) -> None:
        await self._records.delete([_key(blob)])


def _key(blob: Descriptor) -> str:
    return f"receipts/bringing/{blob.digest.algorithm}-{blob.digest.hex}"
