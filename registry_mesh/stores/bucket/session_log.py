"""The log of an upload session in a bucket, written by the one process whose lease it has."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from registry_mesh.oci.refusals import BlobUploadInvalid
from registry_mesh.ports.failures import Failure
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.entry import data_key
from registry_mesh.stores.bucket.lease_holder import this_process
from registry_mesh.stores.bucket.session import FULL_EVERY, Lease, Session, SessionTail, base_of

LEASE: Final = 12.0
"""Seconds for which an append that has not said a word is believed to run."""


def record_key(id: str, number: int) -> str:
    """Return the key of a session's record."""
    return f"uploads/{id}/{number:020}"


class SessionLog:
    """The session's log, as long as it is ours to write."""

    def __init__(
        self,
        client: S3Client,
        control: S3Control,
        id: str,
        session: Session,
        clock: Callable[[], float],
        wall: Callable[[], float],
        process: Callable[[], str] = this_process,
    ) -> None:
        self._client = client
        self._control = control
        self._id = id
        self._clock = clock
        self._wall = wall
        self._process = process
        self.session = session

    async def add(self, session: Session, *, leased: bool) -> None:
        """The next record; `BlobUploadInvalid` where another has written it."""
        before = self.session
        lease = Lease(self._process(), self._wall() + LEASE) if leased else None
        session = replace(session, number=before.number + 1, at=self._clock(), lease=lease)
        if not await self._client.create(record_key(self._id, session.number), session.encode(before)):
            raise BlobUploadInvalid("another request is writing to this upload")
        self.session = session
        if base_of(session.number) == session.number:
            gone = range(session.number - FULL_EVERY, session.number)
            with suppress(Failure):  # they go with the session, or with its expiry
                await self._control.delete([record_key(self._id, number) for number in gone])

    @property
    def waning(self) -> bool:
        """Whether it is time to say that we are still there."""
        lease = self.session.lease
        return lease is None or lease.until - self._wall() < LEASE * 2 / 3

    async def put_aside(self, data: bytes) -> SessionTail:
        """Put bytes of an unfinished part into an object of their own."""
        key = f"tails/{self._id}/{uuid.uuid4().hex}"
        await self._client.put(key, data)
        return SessionTail(key, len(data))

    async def end(self) -> None:
        """The session is over; its multipart upload too, where it has not become an object."""
        await self.add(replace(self.session, ended=True), leased=False)
        await self.remove()

    async def remove(self) -> None:
        """Remove all that the session left in the bucket. `StoreBroken`."""
        if self.session.upload is not None:
            await self._control.abort(data_key(self.session.name), self.session.upload)
        for prefix in (f"tails/{self._id}/", f"uploads/{self._id}/"):
            async for page in self._control.list(prefix):
                await self._control.delete([listed.key for listed in page.objects])
