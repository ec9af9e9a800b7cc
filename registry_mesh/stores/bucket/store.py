"""A bucket as a store: blobs, and the records of repositories beside them."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap, ChunkMapInvalid
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobStore
from registry_mesh.ports.failures import SourceLied, StoreBroken
from registry_mesh.ports.uploads import EXPIRY
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.connect import proxy_of
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.entry import (
    Entries,
    Entry,
    KnownEntry,
    data_key,
    digest_of,
    entry_key,
    pending_key,
)
from registry_mesh.stores.bucket.errors import ObjectMissing
from registry_mesh.stores.bucket.ingest import Intake, S3Ingest
from registry_mesh.stores.bucket.lease_holder import this_process
from registry_mesh.stores.bucket.maps import read_map
from registry_mesh.stores.bucket.probe import probe
from registry_mesh.stores.bucket.reading import S3Reading
from registry_mesh.stores.bucket.records import S3Records
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.signing import BucketSigner
from registry_mesh.stores.bucket.sweep import SweptObjects, sweep
from registry_mesh.stores.bucket.uploads import PATIENCE, S3Uploads
from registry_mesh.tasks.flights import Flights

FRESH: Final = 30.0
"""Seconds for which we believe that a blob we saw is still there: another host may have deleted it since. Far below
any grace period of a collection."""

PATIENCE_ALARM: Final = 5.0
"""Seconds for an answer of the bucket before that is told."""

BATCH: Final = 100
"""Entries asked for at once."""

LINGER: Final = 3600.0
"""Age in seconds for a regular sweep: for so long an open reading goes on, wherever the blob is deleted. Longer than
any moment between a blob's data and its entry."""

INCOMPLETE_DAYS: Final = 7
"""After which the bucket drops multipart uploads by itself, where it can."""


class S3Store:
    """`BlobStore` on a bucket that any number of processes and hosts share without a lock."""

    def __init__(
        self,
        client: S3Client,
        control: S3Control,
        settings: S3Settings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.control = control
        self._settings = settings
        self._monotonic = monotonic
        self.entries = Entries()
        self.records = S3Records(client, control)
        self._looks: Flights[Digest, Entry | None] = Flights()

    @classmethod
    async def start(cls, settings: S3Settings) -> S3Store:
        """Ready for use. `StoreBroken` where there are no credentials, or no such bucket for us."""
        control = await S3Control.open(settings)
        await control.check()
        tls = ssl.create_default_context(cafile=control.ca) if control.ca else None
        client = S3Client(
            S3Client.session(tls, proxy_of(control.base), settings.timeout),
            BucketSigner(control.credentials, control.region),
            control.base,
            settings.prefix,
        )
        try:
            await probe(client, control)
        except BaseException:
            await client.close()
            await control.close()
            raise
        return cls(client, control, settings)

    async def close(self) -> None:
        """Close the connections to the bucket."""
        await self._looks.close()
        await self.client.close()
        await self.control.close()

    def __repr__(self) -> str:
        return f"<bucket {self._settings.bucket}/{self._settings.prefix} at {self._settings.endpoint or 'its region'}>"

    @property
    def redirects(self) -> bool:
        """Whether readings may have an address."""
        return self._settings.redirect != "off"

    def remembers(self, digest: Digest) -> bool:
        """Whether it was there when last asked for, as far as this process knows."""
        return self.entries.get(digest) is not None

    def unlearn(self, digest: Digest) -> None:
        """Forget what this process knows of it: its chunks are checked anew."""
        self.entries.drop(digest)

    async def stat(self, digest: Digest) -> BlobInfo:
        """Return what the blob's entry says, known for some seconds. `BlobUnknown`, `StoreBroken`."""
        return (await self.known(digest)).entry.info

    async def has(self, digest: Digest) -> bool:
        """Whether it is there, as far as the last seconds go."""
        try:
            await self.known(digest)
        except BlobUnknown:
            return False
        return True

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[S3Reading]:
        """Give the blob's bytes, or the address where clients may have them. `BlobUnknown`, `StoreBroken`."""
        known = await self.known(digest)
        wanted = known.entry.info.clip(span)
        if known.chunk_map is None or not known.chunk_map.covers(wanted):
            await self._read_map(known, wanted)
        yield S3Reading(self.client, known, wanted, await self._address(known, wanted))

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """Return as much of the map as proves `span` (None: all). `BlobUnknown`, `StoreBroken`."""
        known = await self.known(digest)
        if known.chunk_map is None or not known.chunk_map.covers(span):
            return await self._read_map(known, span)
        return known.chunk_map

    @asynccontextmanager
    async def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AsyncIterator[S3Ingest]:
        """Take a blob in, by parts; what is not committed is dropped. `StoreFull`, `StoreBroken`."""
        algorithm = expected.algorithm if expected else algorithm
        intake = Intake.begin(self.client, self.control, algorithm, size or 0)
        ingest = S3Ingest(self.client, self.control, intake, self.sound, expected)
        try:
            yield ingest
        finally:
            await ingest.close()
        if ingest.entry is not None:
            self.entries.add(KnownEntry(ingest.entry, self._monotonic()))

    def uploads(
        self,
        clock: Callable[[], float] = time.time,
        *,
        expiry: float = EXPIRY,
        wall: Callable[[], float] = time.time,
        patience: float = PATIENCE,
        process: Callable[[], str] = this_process,
    ) -> S3Uploads:
        """The upload sessions that lie beside the blobs; see `S3Uploads`."""
        return S3Uploads(
            self.client,
            self.control,
            self.sound,
            clock,
            expiry=expiry,
            wall=wall,
            patience=patience,
            process=process,
        )

    async def delete(self, digest: Digest) -> None:
        """Take the blob's entry away; its data goes with a later sweep, for those who read it. `BlobUnknown`."""
        known = await self.look(digest)
        await self._take_away([known.entry])

    async def delete_many(self, digests: Sequence[Digest]) -> None:
        """Forget those that are there, in batches."""
        for start in range(0, len(digests), BATCH):
            asked = await asyncio.gather(*(self._find(d) for d in digests[start : start + BATCH]))
            await self._take_away([known.entry for known in asked if known is not None])

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        """Sizes are in the entries, so each costs a request; they are asked for a batch at a time."""
        async with aclosing(self.digests()) as digests:
            async for batch in _batches(digests, BATCH):
                for known in await asyncio.gather(*(self._find(digest) for digest in batch)):
                    if known is not None:
                        yield known.entry.info

    async def digests(self) -> AsyncGenerator[Digest, None]:
        """Every blob's digest, 1,000 a request."""
        async for page in self.control.list("blobs/"):
            for listed in page.objects:
                yield digest_of(listed.key)

    async def sweep(self, age: float = LINGER) -> SweptObjects:
        """Take away the data of what was deleted, or died on its way in, more than `age` seconds ago. The bucket
        itself is told to drop old multipart uploads, where it can be."""
        await self.expire_incomplete()
        return await sweep(self.client, self.control, time.time() - age)

    async def try_reaching(self) -> None:
        """Ask for an object that need not be there. `StoreBroken` where the bucket does not answer in time."""
        try:
            async with asyncio.timeout(PATIENCE_ALARM):
                await self.client.head("probe/reach")
        except TimeoutError:
            raise StoreBroken(f"the bucket has not answered for {PATIENCE_ALARM:g} s") from None

    async def tidy(self) -> None:
        """`sweep` what is old; once an hour is enough."""
        await self.sweep()

    async def expire_incomplete(self) -> bool:
        """Have the bucket itself drop old multipart uploads; False where it cannot."""
        return await self.control.expire_incomplete(INCOMPLETE_DAYS)

    async def known(self, digest: Digest) -> KnownEntry:
        """Return the blob's entry, from memory where that is fresh. `BlobUnknown`, `StoreBroken`."""
        known = self.entries.get(digest)
        if known is None or self._monotonic() - known.seen > FRESH:
            return await self.look(digest)
        return known

    async def look(self, digest: Digest) -> KnownEntry:
        """As the bucket has it now. `BlobUnknown`."""
        known = await self._find(digest)
        if known is None:
            raise BlobUnknown(digest=str(digest))
        return known

    async def _find(self, digest: Digest) -> KnownEntry | None:
        data = await self.client.get(entry_key(digest))
        if data is None:
            self.entries.drop(digest)
            return None
        now = self._monotonic()
        entry = Entry.decode(digest, data)
        known = self.entries.get(digest)
        if known is None or known.entry != entry:
            known = KnownEntry(entry, now)
            self.entries.add(known)
        known.seen = now
        return known

    async def sound(self, digest: Digest) -> Entry | None:
        """The entry of a blob whose bytes are all there; one whose bytes are lost is taken away."""
        known = await self._find(digest)
        if known is None or known.entry.inline is not None:
            return known.entry if known else None
        found = await self.client.head(data_key(known.entry.name))
        if found is not None and found.size == known.entry.size:
            return known.entry
        await self._take_away([known.entry])
        return None

    async def _take_away(self, entries: Sequence[Entry]) -> None:
        """The entries: from then on the blobs are unknown. Their data lingers, marked, for readings that are open
        here or on other hosts, until the sweep."""
        large = [entry for entry in entries if entry.name]
        await asyncio.gather(*(self.client.put(pending_key(e.name), str(e.digest).encode()) for e in large))
        await self.control.delete([entry_key(entry.digest) for entry in entries])
        for entry in entries:
            self.entries.drop(entry.digest)

    async def _read_map(self, known: KnownEntry, span: Span | None) -> ChunkMap:
        """Learn as much of the map as proves `span` (None: all)."""
        entry = known.entry
        try:
            return known.learn(await read_map(self.client, entry, span))
        except ObjectMissing:
            self.entries.drop(entry.digest)
            if await self._find(entry.digest) is None:
                raise BlobUnknown(digest=str(entry.digest)) from None
            raise StoreBroken(f"the chunk map of {entry.digest} is not in the bucket") from None
        except (ChunkMapInvalid, SourceLied) as error:
            raise StoreBroken(f"the chunk map of {entry.digest} in the bucket: {error}") from error

    async def _address(self, known: KnownEntry, span: Span) -> str | None:
        """Where clients are sent, once the bucket has said that the data is there: a HEAD, one for a crowd.
        `BlobUnknown` where it is gone, by a rule of the bucket or a hand: its entry is taken away, and the blob comes
        anew."""
        settings, entry = self._settings, known.entry
        if settings.redirect == "off" or not entry.name or len(span) < settings.redirect_min:
            return None
        there = await self._looks.join(entry.digest, lambda: self._with_data(entry))
        if there is None:
            raise BlobUnknown(digest=str(entry.digest))
        return await self.client.presigned(data_key(there.name), settings.redirect_seconds)

    async def _with_data(self, entry: Entry) -> Entry | None:
        """The entry, where its data is there; else the one that another host has put in its place, if any."""
        found = await self.client.head(data_key(entry.name))
        return entry if found is not None and found.size == entry.size else await self.sound(entry.digest)


async def _batches(digests: AsyncIterator[Digest], size: int) -> AsyncIterator[list[Digest]]:
    batch: list[Digest] = []
    async for digest in digests:
        batch.append(digest)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


_: type[BlobStore] = S3Store
