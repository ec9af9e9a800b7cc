"""What brings blobs from a spool to the bucket, behind clients' backs."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown, Refusal
from registry_mesh.ports.failures import Failure, StoreFull
from registry_mesh.ports.pieces import in_memory
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.store import DiskStore

_log: Final = logging.getLogger(__name__)

SENDERS: Final = 2
"""Uploads at once, in a process."""

_SPOOL: Final = Digest.of(b"")
"""Stands for the spool itself, where a lock wants a digest."""

_PAUSE: Final = (1.0, 60.0)
"""Seconds before an upload that failed is tried again: at first, and at most."""


class SpoolSenders:
    """Of one process. What it has not sent when it ends the next one finds, by comparing."""

    def __init__(self, spool: DiskStore, bucket: S3Store) -> None:
        self._spool = spool
        self._bucket = bucket
        self.sent = 0
        self._refusing = False
        self._queue: asyncio.Queue[Digest] = asyncio.Queue()
        self._queued: set[Digest] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._queued)

    def begin(self) -> None:
        """Start to send, first what an earlier process left."""
        self._tasks = [asyncio.create_task(self._send_all()) for _ in range(SENDERS)]
        self._tasks.append(asyncio.create_task(self._take_up()))

    async def close(self) -> None:
        """End what is being sent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Until nothing is left to send."""
        await self._idle.wait()

    def send(self, digest: Digest) -> None:
        """Bring it to the bucket, in its turn."""
        if digest not in self._queued:
            self._queued.add(digest)
            self._idle.clear()
            self._queue.put_nowait(digest)

    def _sent(self, digest: Digest) -> None:
        self._queued.discard(digest)
        if not self._queued:
            self._idle.set()

    async def _take_up(self) -> None:
        """Send what is complete in the spool and not in the bucket: a process may have died in between."""
        async with self._spool.lock(_SPOOL, "take-up") as mine:
            if not mine:
                return  # another process of the site does
            async for info in self._spool.blobs():
                try:
                    if await self._bucket.has(info.digest):
                        continue
                except Failure:
                    pass  # it is asked again before it is sent
                self.send(info.digest)

    async def _send_all(self) -> None:
        pause = _PAUSE[0]
        while True:
            digest = await self._queue.get()
            try:
                await self._send_one(digest)
                pause = _PAUSE[0]
                self._refusing = False
            except BlobUnknown:
                pass  # evicted from the spool, or rotten there: it will be brought anew
            except (StoreFull, Refusal) as fault:
                self._tell(digest, fault)  # the spool serves it as long as it can
            except Failure as fault:
                self._tell(digest, fault)
                await asyncio.sleep(pause)
                pause = min(_PAUSE[1], pause * 2)
                self._queue.put_nowait(digest)
                continue
            self._sent(digest)

    def _tell(self, digest: Digest, fault: Failure | Refusal) -> None:
        """Say in the log that blobs do not come to the bucket: once, until one does."""
        if not self._refusing:
            self._refusing = True
            _log.warning("%s is not in %s yet, and stays in the spool: %s", digest, self._bucket, fault)

    async def _send_one(self, digest: Digest) -> None:
        """Bring it to the bucket, unless another process of the site does, or another site did."""
        async with self._spool.lock(digest, "upload") as mine:
            if not mine or await self._bucket.has(digest):
                return
            async with self._spool.open(digest) as reading:
                async with self._bucket.ingest(digest, reading.info.size) as ingest:
                    async for data in in_memory(reading):
                        await ingest.write(data)
                    await ingest.commit(digest)
                    self.sent += 1
