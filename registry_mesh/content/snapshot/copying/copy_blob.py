"""One blob, from a source into a store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

from registry_mesh.content.fill.behind import behind_clients
from registry_mesh.content.fill.lanes import LaneShares
from registry_mesh.content.fill.pace import PacePolicy
from registry_mesh.content.fill.retries import Retries
from registry_mesh.content.fill.rivals import Rivals
from registry_mesh.content.fill.via import NO_RIVALS, Distrust
from registry_mesh.content.fill.watch import PaceWatch
from registry_mesh.content.snapshot.copying.keeping import kept_pieces
from registry_mesh.content.snapshot.copying.offer import Offer, RivalsOf, no_rivals
from registry_mesh.content.snapshot.copying.streams_ahead import (
    KeptStripe,
    StreamsAhead,
    StripeStream,
    Take,
    kept_ahead,
)
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.refusals import BlobUnknown, DigestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource, BlobStore, Ingest
from registry_mesh.ports.failures import SourceLied, SourceSlow, SourceUnavailable
from registry_mesh.ports.remainders import NOTHING, NoRemainders, Remainder, Remainders

_PACE: Final = PacePolicy()

Moved = Callable[[int], None]
"""Told how many bytes came; a negative number takes back bytes that turned out wrong."""


async def is_held(store: BlobStore, blob: Descriptor) -> bool:
    """Whether the store has it. `SourceLied` where it has, with another size than the descriptor says: a digest
    has one size, so the descriptor is wrong."""
    try:
        info = await store.stat(blob.digest)
    except BlobUnknown:
        return False
    if info.size != blob.size:
        raise SourceLied(f"{blob.digest} has {info.size} bytes and is said to have {blob.size}")
    return True


class CopyByIngest:
    """Implements `copy_keys.Bring` for any store. A stream that breaks is resumed at the same byte; wrong bytes
    are thrown away and asked for once more, since another parent may answer. What came is kept in `remainders` until
    the store has it."""

    def __init__(
        self,
        store: BlobStore,
        distrust: Distrust = lambda source, digest, reason: None,
        rivals: RivalsOf = no_rivals,
        remainders: Remainders | None = None,
    ) -> None:
        self._remainders = remainders or NoRemainders()
        self._store = store
        self._distrust = distrust
        self._rivals = rivals
        self._shares = LaneShares()

    @property
    def store(self) -> BlobStore:
        """Where blobs come to."""
        return self._store

    async def __call__(self, offer: Offer, blob: Descriptor, moved: Moved) -> None:
        await self.tried(self.ingest, offer, blob, moved)

    async def tried(
        self, attempt: Callable[[Arriving], Awaitable[None]], offer: Offer, blob: Descriptor, moved: Moved
    ) -> None:
        """Attempt it; once more, where wrong bytes came. Their sender is told of. `SourceLied`."""
        rivals = offer.rivals(self._rivals)
        for last in (False, True):
            try:
                async with self._remainders.of(blob.digest) as remainder:
                    return await attempt(Arriving(offer.blobs, blob, moved, rivals, remainder, self._shares))
            except SourceLied as failure:
                for name in filter(None, failure.source.split(", ")):
                    self._distrust(name, blob.digest, failure.reason)
                if last:
                    raise
        return None

    async def ingest(self, arriving: Arriving) -> None:
        """All of it at once: nothing stays of what broke off."""
        blob = arriving.blob
        async with self._store.ingest(blob.digest, blob.size, blob.digest.algorithm) as ingest:
            try:
                await arriving.stream(ingest)
                await ingest.commit(blob.digest)
            except BaseException as fault:
                arriving.take_back()
                if isinstance(fault, DigestInvalid):
                    raise await arriving.wrong() from None
                raise
        await arriving.remainder.forget()


class Arriving:
    """One try to bring a blob in; remembers who sent of it, and how much."""

    def __init__(
        self,
        source: BlobSource,
        blob: Descriptor,
        moved: Moved,
        rivals: Rivals,
        remainder: Remainder = NOTHING,
        shares: LaneShares | None = None,
    ) -> None:
        """`shares`: what is known of how many streams help."""
        self._shares = shares or LaneShares()
        self.blob = blob
        self.remainder = remainder
        self._goes_on = False  # some of it came in an earlier process
        self._rivals = rivals
        self._source = source
        self._moved = moved
        self._came = 0
        self._senders: set[str] = set()
        self._left: set[str] = set()
        """Sources that were left for being slow."""

    def take_back(self) -> None:
        """What came counts for nothing."""
        self._moved(-self._came)

    def lied(self, reason: str) -> SourceLied:
        """The failure that names who sent it."""
        return SourceLied(reason, source=", ".join(sorted(self._senders)))

    async def wrong(self) -> SourceLied:
        """The failure of bytes that came to their end and are others. Nobody is named where an earlier process had some
        of them from it knows not whom."""
        await self.remainder.forget()
        if self._goes_on:
            self._senders.clear()
        return self.lied(f"other bytes than those of {self.blob.digest}")

    async def stream(self, ingest: Ingest, kept: Callable[[], int] = lambda: 0) -> None:
        """What the ingest lacks, and from where it stands; first what an earlier process had received of it. `kept`:
        the bytes that the store has for good. `SourceUnavailable`, `SourceLied`."""
        self._goes_on = ingest.offset > 0
        async for data in self.remainder.after(ingest.offset):
            self._goes_on = True
            await ingest.write(data[: self.blob.size - ingest.offset])
        await self._stream(ingest, kept)

    async def _stream(self, ingest: Ingest, kept: Callable[[], int]) -> None:
        retries, now = Retries(random.random), asyncio.get_running_loop().time

        def at() -> int:
            return ingest.offset

        async def run_ahead(stripe: StripeStream) -> None:
            span = stripe.span
            await self._receive(
                span, lambda: stripe.came, lambda: span.stop, stripe.take, lambda source: None, kept
            )

        left = kept_ahead(self.remainder, ingest.offset)
        async with StreamsAhead(self._shares, self._rivals, self.blob.size, at, run_ahead, left) as ahead:
            while ingest.offset < self.blob.size:
                before = ingest.offset
                try:
                    await self._read(ingest, kept, ahead)
                except SourceUnavailable as failure:
                    came, asked = ingest.offset - before, self.blob.size - before
                    pause = retries.after(failure, came, asked, now()).pause
                    if pause is None:
                        raise
                    await asyncio.sleep(pause)

    async def _read(self, ingest: Ingest, kept: Callable[[], int], ahead: StreamsAhead) -> None:
        """What one stream brings: one that ran ahead, or a new one."""

        async def take(data: bytes) -> bool:
            if ingest.offset + len(data) > self.blob.size:
                raise self.lied(f"more than the {self.blob.size} bytes of {self.blob.digest} came")
            data = data[: ahead.stop - ingest.offset]
            await ingest.write(data)
            self._came += len(data)
            self._moved(len(data))
            return ingest.offset < ahead.stop

        stripe = ahead.next()
        if stripe is None:
            span = ahead.span()
            await self._receive(span, lambda: ingest.offset, lambda: ahead.stop, take, ahead.begins, kept)
        elif isinstance(stripe, KeptStripe):
            self._goes_on = True
            async for data in stripe.pieces():
                await ingest.write(data)
        else:
            try:
                async for data in stripe.pieces():
                    await take(data)
            finally:
                await stripe.end()
        if ingest.offset < ahead.stop:
            raise SourceUnavailable(f"the stream of {self.blob.digest} ended at byte {ingest.offset}")

    async def _receive(
        self,
        span: Span | None,
        came: Callable[[], int],
        end: Callable[[], int],
        take: Take,
        begins: Callable[[str], None],
        kept: Callable[[], int],
    ) -> None:
        """Have `take` take what a stream of `span` brings. `came`: the bytes of the blob before which all have come of
        it; `end`: the last of them that is asked for; `begins` is told who sends. `SourceSlow` where another source
        would bring far more. One that was left, and is back as the others lack the blob, is waited for."""
        await behind_clients(self._rivals)
        async with self._source.open(self.blob.digest, span) as reading:
            source = reading.provenance.source
            if source:
                self._senders.add(source)
            if reading.info.size != self.blob.size:
                raise self.lied(
                    f"{self.blob.digest} has {reading.info.size} bytes there, {self.blob.size} are named"
                )
            begins(source)
            rivals = NO_RIVALS if source in self._left else self._rivals
            try:
                async with (
                    PaceWatch(_PACE, rivals, source, self.blob.digest, came, end) as watch,
                    aclosing(kept_pieces(reading, self.remainder, kept, watch)) as pieces,
                ):
                    async for data in pieces:
                        if not await take(data):
                            return
                        watch.held = True
                        await behind_clients(self._rivals, source)
                        watch.held = False
            except SourceSlow as slow:
                self._left.add(slow.source)
                raise
