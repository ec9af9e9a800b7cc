"""Digests that the parents of a registry lately said they do not have: negative entries (RFC 9111, section 4.2.2).

An entry counts for one repository, as the caller's rights do. It is void as soon as the repository names the digest,
where it did not when its parents were asked: a tag or a manifest that came since, in whatever process of the node.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from cachetools import LRUCache

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.content.nest.names import NamesOfPlace
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown, Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobSource, Reading
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import FetchedManifest, ManifestSource
from registry_mesh.ports.share import demand_share, spend_share

T = TypeVar("T")

MOST: Final = 20_000
"""Entries of a registry; the one not asked for the longest goes first."""

SPREAD: Final = 0.2
"""By up to which share of the TTL an entry ends earlier: what many nodes asked at one time they do not ask again at
one time."""

_UNKNOWN: Final = (BlobUnknown, ManifestUnknown, NameUnknown)


@dataclass(frozen=True, slots=True)
class _Entry:
    refusal: Refusal
    until: float
    """Seconds of the clock."""
    named: bool
    """Whether the repository named the digest when its parents were asked."""


class Negatives:
    """Of one registry, in one process. `of` binds them to a repository."""

    def __init__(
        self,
        ttl: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        most: int = MOST,
    ) -> None:
        """`ttl`: seconds that an entry lasts at most, 0: there are none. `draw` gives numbers from 0 to 1."""
        self.ttl = ttl
        self._clock = clock
        self._draw = draw
        self._entries: LRUCache[tuple[str, Place, Digest], _Entry] = LRUCache(most)

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, blobs: BlobSource, manifests: ManifestSource, names: NamesOfPlace) -> LessAsked:
        """The sources of one repository, asked for what they lack once in a TTL."""
        return LessAsked(self, blobs, manifests, names)

    def forget(self) -> None:
        """Drop all entries."""
        self._entries.clear()

    async def raise_known(self, kind: str, names: NamesOfPlace, digest: Digest) -> None:
        """Raise what the parents said, where it still counts."""
        key = kind, names.place, digest
        entry = self._entries.get(key)
        if entry is None:
            return
        left = entry.until - self._clock()
        if left <= 0 or (not entry.named and await names.have(digest)):
            self._entries.pop(key, None)
            return
        raise entry.refusal.again(left)

    async def note(self, kind: str, names: NamesOfPlace, digest: Digest, refusal: Refusal) -> bool:
        """Keep what the parents said; whether it is news: of several who ask at a time one tells it."""
        named, now, key = await names.have(digest), self._clock(), (kind, names.place, digest)
        before = self._entries.get(key)
        if self.ttl > 0:
            until = now + self.ttl * (1 - SPREAD * self._draw())
            self._entries[key] = _Entry(refusal.again(0.0), until, named)
        return before is None or before.until <= now


class LessAsked:
    """`BlobSource` and `ManifestSource` of one repository. A chunk map is no proof that there is a blob: it is asked
    for each time."""

    def __init__(
        self, negatives: Negatives, blobs: BlobSource, manifests: ManifestSource, names: NamesOfPlace
    ) -> None:
        self._negatives = negatives
        self._blobs = blobs
        self._manifests = manifests
        self._names = names

    async def stat(self, digest: Digest) -> BlobInfo:
        """See `BlobSource.stat`."""
        return await self._asked("blob", digest, lambda: self._blobs.stat(digest))

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """See `BlobSource.open`."""
        async with AsyncExitStack() as stack:
            yield await self._asked(
                "blob", digest, lambda: stack.enter_async_context(self._blobs.open(digest, span))
            )

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """See `BlobSource.chunk_map`."""
        return await self._blobs.chunk_map(digest, span)

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """See `ManifestSource.manifest`."""
        return await self._asked("manifest", digest, lambda: self._manifests.manifest(digest))

    async def _asked(self, kind: str, digest: Digest, ask: Callable[[], Awaitable[T]]) -> T:
        await self._negatives.raise_known(kind, self._names, digest)
        if not await self._names.have(digest):
            await demand_share()
            await self._negatives.raise_known(kind, self._names, digest)  # others may have asked meanwhile
        try:
            return await ask()
        except _UNKNOWN as refusal:
            if await self._negatives.note(kind, self._names, digest, refusal):
                spend_share()
            raise
