"""Blobs of a repository that rules make of others, and that are fetched when they are read: under the others' names.

A source has more than what was made of it. So nothing is asked for there but what a manifest of this repository names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from cachetools import LRUCache

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import mentions
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobSource, Reading
from registry_mesh.ports.repositories import EVERY, Repository

_REMEMBERED: Final = 10_000
"""Manifests of which it is remembered what they name."""

Sources = Callable[[], Awaitable[Sequence[BlobSource]]]


class OtherNames:
    """Implements `ports.blobs.BlobSource`. `held`: the repository as it is here; `own`: its blobs beyond, under its own
    name; `sources`: those of the repositories that it is made of."""

    _named: LRUCache[Digest, frozenset[Digest]] = LRUCache(_REMEMBERED)
    """What a manifest names never changes."""

    def __init__(self, held: Repository, own: BlobSource, sources: Sources) -> None:
        self._held = held
        self._own = own
        self._sources = sources

    async def stat(self, digest: Digest) -> BlobInfo:
        """As the first source has it."""
        for source in await self._of(digest):
            try:
                return await source.stat(digest)
            except (BlobUnknown, NameUnknown):
                continue
        return await self._own.stat(digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """As the first source has it."""
        async with AsyncExitStack() as stack:
            for source in await self._of(digest):
                try:
                    reading = await stack.enter_async_context(source.open(digest, span))
                except (BlobUnknown, NameUnknown):
                    continue
                break
            else:
                reading = await stack.enter_async_context(self._own.open(digest, span))
            yield reading

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """As the first source has it."""
        for source in await self._of(digest):
            found = await source.chunk_map(digest, span)
            if found is not None:
                return found
        return await self._own.chunk_map(digest, span)

    async def _of(self, digest: Digest) -> Sequence[BlobSource]:
        """Those that may have a blob, if this repository names it."""
        sources = await self._sources()
        return sources if sources and await self._names(digest) else ()

    async def _names(self, digest: Digest) -> bool:
        try:
            tags = (await self._held.tags.tags(EVERY)).tags
        except NameUnknown:
            return False
        seen: set[Digest] = set()
        for tag in tags:
            try:
                root = (await self._held.tags.resolve(tag)).descriptor.digest
            except (ManifestUnknown, NameUnknown):
                continue
            if await self._found_below([root], digest, seen):
                return True
        return False

    async def _found_below(self, level: Iterable[Digest], digest: Digest, seen: set[Digest]) -> bool:
        """Whether one of these manifests, or what hangs below or beside them, names the blob."""
        waiting = list(level)
        while waiting:
            manifest = waiting.pop()
            if manifest in seen:
                continue
            seen.add(manifest)
            named = await self._named_by(manifest)
            if digest in named:
                return True
            waiting += named
            if named:
                waiting += [e.digest for e in (await self._held.referrers.referrers(manifest)).descriptors]
        return False

    async def _named_by(self, manifest: Digest) -> frozenset[Digest]:
        """Nothing of what is no manifest here."""
        if manifest not in self._named:
            try:
                found = (await self._held.manifests.manifest(manifest)).manifest
            except (ManifestUnknown, NameUnknown):
                return frozenset()
            told = mentions(found.data, found.media_type).named
            self._named[manifest] = frozenset(each.digest for each in told)
        return self._named[manifest]
