"""A choice among several sources of one repository: groups in order, the members of a group sharing the load."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.content.nest.candidates import Candidate, Unknown
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.first_answer import FirstAnswer
from registry_mesh.content.nest.first_bytes import FirstBytes, OpenedSpan, WantedSpan
from registry_mesh.content.nest.first_map import FirstMap
from registry_mesh.content.nest.hedges import Hedge
from registry_mesh.content.nest.second_opinion import SecondOpinion
from registry_mesh.content.nest.spread import Spread
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Reading
from registry_mesh.ports.failures import Failure, SourceSlow
from registry_mesh.ports.repositories import FetchedManifest, Referrers, Repository, Resolved, TagPage


class Failover:
    """Blobs, manifests, tags and referrers of one repository from the first candidate that can tell.

    What one candidate does not know another may; only when every one said so is it unknown. When one could not
    be asked the answer is a failure: "unknown" would be a wrong fact.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Candidate]],
        distrusted: Distrusted,
        spread: Spread = Spread.LEAST_LOAD,
        hedge: Hedge = Hedge.ALIKE,
    ) -> None:
        self._distrusted = distrusted
        self._first = FirstAnswer(groups, distrusted, spread, hedge)
        self._first_bytes = FirstBytes(self._first, distrusted)

    async def stat(self, digest: Digest) -> BlobInfo:
        """The size as the first candidate tells it."""
        return await self._first.of("sizes", lambda r: r.blobs.stat(digest), digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Open at the first candidate that begins to answer, and whose body begins. One whose body drips is asked after
        the others for a while, whatever is wanted."""
        wanted = WantedSpan(digest, span)
        asked = 0

        async def opened(repository: Repository) -> OpenedSpan:
            nonlocal asked
            asked += 1
            try:
                return await wanted.open(repository, beside=asked > 1)
            finally:
                asked -= 1

        found = await self._first.of("blobs", opened, digest, OpenedSpan.close, wanted.size)
        try:
            found = await self._first_bytes.of(found, wanted)
            async with found.stack:
                yield found.reading
        except SourceSlow as slow:
            self._distrusted.note_late([slow.source], "blobs")
            raise

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """Of the first candidate that has one. Where a span of it is asked for the whole may never be there to be
        proven: a second candidate's map is compared with it then, or stands beside it. `MapsDisputed` where they
        differ, `MapUnusable` where all have none but wrong ones."""
        candidates, reasons = self._first.order(digest)
        if span is None:
            told = await FirstMap(digest, span, reasons, self._distrusted).of(candidates)
            return told[0] if told is not None else None
        suspects = self._distrusted.suspects
        trusted = [each for each in candidates if not suspects(each.parent.name, digest)]
        opinion = SecondOpinion(digest, span, self._distrusted.put_behind)
        opinion.begin(trusted or candidates)
        try:
            told = await FirstMap(digest, span, reasons, self._distrusted).of(candidates)
            return await opinion.compared(told[0], told[1].parent.name) if told is not None else None
        finally:
            await opinion.close()

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """The manifest from the first parent that has it."""
        return await self._first.of("manifests", lambda r: r.manifests.manifest(digest), digest)

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """Of the first candidate that answers for it. One that has not followed the tag for a while says so: it is
        believed where nobody knows better."""
        stale: list[Resolved] = []

        async def followed(repository: Repository) -> Resolved:
            found = await repository.tags.resolve(tag, known)
            if found.provenance.stale:
                stale.append(found)
                raise ManifestUnknown("it has not followed the tag for a while", tag=tag)
            return found

        try:
            return await self._first.of("tags", followed)
        except (Failure, *Unknown):
            if stale:
                return stale[0]
            raise

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """A page of tags of the first parent that answers."""
        return await self._first.of("lists", lambda r: r.tags.tags(limit, last))

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        """Of the first candidate that has some: a parent that lacks the subject says that it has none, too. None where
        no candidate that answers has any."""
        nothing: list[Referrers] = []

        async def some(repository: Repository) -> Referrers:
            found = await repository.referrers.referrers(subject, tagged)
            if not found.descriptors:
                nothing.append(found)
                raise ManifestUnknown("it has no referrers", digest=str(subject))
            return found

        try:
            return await self._first.of("referrers", some)
        except (Failure, *Unknown):
            if nothing:
                return nothing[0]
            raise
