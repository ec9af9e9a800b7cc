"""A blob on its way into the store becomes a repository's when it is whole."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobInfo, Ingest
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.quotas import Share


class Linking(Protocol):
    """The repository that a blob is linked to."""

    def taking(
        self, size: int, digest: Digest | None, upload: str = ""
    ) -> AbstractAsyncContextManager[Share]:
        """To be entered while something is linked: `QuotaExceeded` where it does not fit."""
        ...

    async def touch(self, digest: Digest) -> None:
        """Spare the digest from collections for the grace."""
        ...

    async def link(self, info: BlobInfo, who: Pusher) -> None:
        """The blob belongs to this repository from now on."""
        ...


class LinkingIngest:
    """An ingest whose commit also links the blob to the repository, where its project has room for it."""

    def __init__(
        self, inner: Ingest, pushes: Linking, who: Pusher, share: Share, announced: int, upload: str
    ) -> None:
        self._inner = inner
        self._pushes = pushes
        self._who = who
        self._share = share
        self._announced = announced
        self._upload = upload

    @property
    def offset(self) -> int:
        """Bytes that were taken."""
        return self._inner.offset

    async def write(self, data: bytes) -> None:
        """Take the next bytes. `QuotaExceeded` where they are more than was said, and do not fit."""
        whole = self._inner.offset + len(data)
        if self._share.accounts and whole > self._announced:
            self._share.demand(whole, upload=self._upload)
            self._share.announce(whole, self._upload)
            self._announced = whole
        await self._inner.write(data)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Prove the blob, and link it. `QuotaExceeded`, `DigestInvalid`."""
        async with self._pushes.taking(self._inner.offset, expected, self._upload) as share:
            if expected is not None:
                await self._pushes.touch(expected)
            info = await self._inner.commit(expected)
            if expected is None:  # its digest is known only now: it may have been condemned a moment ago
                await self._pushes.touch(info.digest)
            await self._pushes.link(info, self._who)
            share.add(info.digest, info.size)
            share.end(self._upload)
            return info
