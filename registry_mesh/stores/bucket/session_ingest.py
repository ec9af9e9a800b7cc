"""An upload session in a bucket that is being gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.sums import SUM
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUploadInvalid, DigestInvalid
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import Failure
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.ingest import Intake, Lookup, S3Ingest
from registry_mesh.stores.bucket.session_log import LEASE, SessionLog

SAVE_EVERY: Final = 16 << 20
"""Bytes after which a running append writes down where it stands; after each part, where those are smaller. A crash
costs a part more: the one on its way."""

MOST_TAILS: Final = 16
"""Objects that a part's beginning is put aside in; then they are joined into one."""


class SessionIngest:
    """Implements `ports.uploads.Appending`: a session that is being gone on with."""

    def __init__(
        self, client: S3Client, control: S3Control, intake: Intake, lookup: Lookup, log: SessionLog
    ) -> None:
        self._blob = S3Ingest(client, control, intake, lookup)
        self.intake = intake
        self._log = log
        self._ended = False  # nothing to go on with
        self._spent = False  # its sums were finished
        self._aside = intake.part.size  # bytes of the part that are in tails
        self._tails = log.session.tails
        self._behind: tuple[int, bytes] | None = (
            None  # where the last part handed over ended, and the hash there
        )

    @property
    def offset(self) -> int:
        """Return how many bytes the session has."""
        return self.intake.offset

    @property
    def kept(self) -> int:
        """Return how many bytes the session was last written down to have."""
        return self._log.session.offset

    async def write(self, data: bytes) -> None:
        """Take the bytes in; after each part that is full, and before the lease wanes, the session is written
        down."""
        rest = memoryview(data)
        while rest:
            part = self.intake.part
            rest = await self.intake.take(rest)
            if self.intake.part is not part:
                self._aside, self._tails = 0, ()
                await self._between_parts()
            elif self._behind is not None and self.intake.multipart.is_still:
                await self.intake.multipart.arrived()
                await self._arrived(*self._behind)
        if self._log.waning:
            await self._log.add(self._log.session, leased=True)

    async def _between_parts(self) -> None:
        """A part has just been handed over, so the one before has arrived: note where it ends, and the hash there."""
        if self._behind is not None:
            await self._arrived(*self._behind)
        await self.intake.sum.flush()
        self._behind = (self.intake.offset, self.intake.sum.state or b"")

    async def _arrived(self, end: int, hash: bytes) -> None:
        """The part that ends at `end` has arrived: write that down, now and then."""
        self._behind = None
        intake = self.intake
        if end - self._log.session.offset < min(SAVE_EVERY, intake.multipart.room):
            return
        session = replace(
            self._log.session,
            offset=end,
            hash=hash,
            sums=intake.sum.sums[: end // CHUNK * SUM],
            upload=intake.multipart.upload,
            parts=tuple(intake.multipart.parts),
            next_part=intake.multipart.number,
            tails=(),
        )
        await self._log.add(session, leased=True)

    async def _save(self, *, leased: bool) -> None:
        """Write down where it stands, with what does not fill a part put aside."""
        intake = self.intake
        await intake.sum.flush()
        await intake.multipart.arrived()
        if intake.part.size > self._aside:
            kept = self._tails if len(self._tails) < MOST_TAILS else ()
            tail = await self._log.put_aside(intake.part.after(self._aside if kept else 0))
            self._tails, self._aside = (*kept, tail), intake.part.size
        session = replace(
            self._log.session,
            offset=intake.offset,
            hash=intake.sum.state or b"",
            sums=intake.sum.sums,
            upload=intake.multipart.upload,
            parts=tuple(intake.multipart.parts),
            next_part=intake.multipart.number,
            tails=self._tails,
        )
        await self._log.add(session, leased=leased)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Make all that the session has the blob, which ends the session. `DigestInvalid`, `StoreBroken`."""
        await self._log.add(self._log.session, leased=True)  # nobody else goes on with it now
        self._spent = True
        try:
            async with self._leased():
                info = await self._blob.commit(expected)
        except Failure:
            self._ended = self._blob.stored
            raise
        except DigestInvalid:
            self._ended = True
            raise
        self._ended = True
        return info

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[None]:
        """Say now and then that we are still there: joining the parts of a large blob takes a while."""
        done = asyncio.Event()

        async def say() -> None:
            while not done.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), LEASE / 3)
                if self._log.waning and not done.is_set():
                    await self._log.add(self._log.session, leased=True)

        saying = asyncio.create_task(say(), name="upload lease")
        try:
            yield
        finally:
            done.set()
            with suppress(Failure, BlobUploadInvalid):  # what is committed is whole, in any session
                await saying

    async def leave(self) -> None:
        """Keep what came. After a commit, fitting or not, nothing of the session stays; where the bucket failed
        before the bytes were joined, it stands where it was last written down."""
        if self._ended:
            try:
                await self._blob.close()
            finally:
                with suppress(Failure, BlobUploadInvalid):  # the sweep will find it
                    await self._log.end()
            return
        try:
            if not self._spent:
                await self._save(leased=False)
        finally:
            await self.intake.multipart.stop()
            if self._log.session.lease is not None:
                with suppress(Failure, BlobUploadInvalid):  # it will lapse
                    await self._log.add(self._log.session, leased=False)
