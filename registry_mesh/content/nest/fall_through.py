"""What is held first, and beyond it another source, for one repository.

What is held is never asked about beyond: a replica's tags are those of its last snapshot. Lists are joined where
the source beyond can be asked, and are what is held where it cannot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Reading
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import FetchedManifest, Referrers, Repository, Resolved, TagPage


class FallThrough:
    """Blobs, manifests, tags and referrers of `held`, else of `beyond`."""

    def __init__(self, held: Repository, beyond: Repository) -> None:
        self._held = held
        self._beyond = beyond

    def repository(self) -> Repository:
        """Both together as one repository."""
        return Repository(self._held.registry, self._held.name, self, self, self, self)

    async def stat(self, digest: Digest) -> BlobInfo:
        """The blob as it is held, else as it is beyond."""
        try:
            return await self._held.blobs.stat(digest)
        except BlobUnknown:
            return await self._beyond.blobs.stat(digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """The blob opened where it is held, else beyond."""
        async with AsyncExitStack() as stack:
            try:
                reading = await stack.enter_async_context(self._held.blobs.open(digest, span))
            except BlobUnknown:
                reading = await stack.enter_async_context(self._beyond.blobs.open(digest, span))
            yield reading

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """The map of what is held, else of what is beyond."""
        try:
            return await self._held.blobs.chunk_map(digest, span)
        except BlobUnknown:
            return await self._beyond.blobs.chunk_map(digest, span)

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """The manifest that is held, else the one beyond."""
        try:
            return await self._held.manifests.manifest(digest)
        except ManifestUnknown:
            return await self._beyond.manifests.manifest(digest)

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """Where the held tag points, else the one beyond."""
        """Of `held`, but for a tag that it has not followed for a while and of which `beyond` knows better."""
        try:
            held = await self._held.tags.resolve(tag, known)
        except (ManifestUnknown, NameUnknown):
            return await self._beyond.tags.resolve(tag, known)
        if held.provenance.stale:
            with suppress(ManifestUnknown, NameUnknown, Failure):
                return await self._beyond.tags.resolve(tag, known)
        return held

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """A page of the tags of both; of the held ones alone where beyond fails."""
        try:
            held = await self._held.tags.tags(limit, last)
        except NameUnknown:
            return await self._beyond.tags.tags(limit, last)
        try:
            beyond = await self._beyond.tags.tags(limit, last)
        except (NameUnknown, Failure):
            return held
        return _joined(held, beyond, limit)

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        """The referrers of both, by digest; of the held ones alone where beyond fails."""
        ours = await self._held.referrers.referrers(subject)
        held = ours.descriptors
        try:
            beyond = await self._beyond.referrers.referrers(subject)
        except (NameUnknown, ManifestUnknown, Failure):
            return Referrers(held, checked=ours.checked)
        both = {each.digest: each for each in (*beyond.descriptors, *held)}
        checked = ours.checked and beyond.checked
        return Referrers(tuple(both[digest] for digest in sorted(both)), beyond.provenance, checked)


def _joined(one: TagPage, other: TagPage, limit: int) -> TagPage:
    """One page of both. Past the end of a page that has more nothing is known of it: the join ends there too."""
    ends = [page.tags[-1] for page in (one, other) if page.more and page.tags]
    known = sorted({*one.tags, *other.tags})
    if ends:
        known = [tag for tag in known if tag <= min(ends)]
    return TagPage(tuple(known[:limit]), bool(ends) or len(known) > limit, other.provenance)
