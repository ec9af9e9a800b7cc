"""Finding graphs at a source: what a tag stands for, and what hangs beside it. Blobs are only named here."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Final

from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.graph import (
    Graph,
    Incomplete,
    Node,
    below,
    demand,
    demand_platforms,
    whole_ones,
)
from registry_mesh.content.snapshot.finding.lookups import Lead, Lookups
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import INDEXES, OCTETS
from registry_mesh.oci.mentions import Kind, Mention, Mentions, mentions
from registry_mesh.oci.reading import is_manifest
from registry_mesh.oci.reference import Tag, referrers_tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown, Refusal
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.failures import Failure, SourceLied, SourceUnreadable, StoreBroken, StoreFull
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.companions import ALL, Companions
from registry_mesh.replication.rules import Platforms
from registry_mesh.replication.wanted import Wanted, is_image, platform_of, wanted

MAX_NODES: Final = 50_000
"""Manifests of one graph; a source that names more is not followed."""
MAX_DEPTH: Final = 16
MAX_HINTS: Final = 1_000
"""Of one document that is not understood; more are not looked for."""
MAX_NOTES: Final = 20

_UNKNOWN: Final = (BlobUnknown, ManifestUnknown, NameUnknown)


class Explorer:
    """Finds graphs over all repositories of a run."""

    def __init__(self, store: BlobStore, asking: Asking) -> None:
        self._lookups = Lookups(store, asking)

    async def explore(
        self,
        source: Repository,
        root: Descriptor,
        platforms: Platforms,
        tags: Collection[Tag] | None = None,
        companions: Companions = ALL,
    ) -> Graph:
        """What `root` stands for. `Incomplete` names what is lacking of it; `SourceLied` where it has no end.

        Of `root` its digest counts; `tags` are those of the repository, where they are known; of what refers to it only
        `companions` are looked into.
        """
        looking = _Exploration(self._lookups, source, platforms, tags, companions)
        await looking.walk(root)
        return looking.graph(root)


def _images(found: Mentions, manifests: Collection[Digest]) -> Iterator[tuple[Digest, str]]:
    """Those that an index names, wanted or not; `manifests`: what was looked at of it. Caches of builders are none."""
    for each in found.named if found.is_index else ():
        if is_image(each) and (each.kind is Kind.MANIFEST or each.digest in manifests):
            yield each.digest, platform_of(each)


class _Exploration:
    """One walk from one root."""

    def __init__(
        self,
        lookups: Lookups,
        source: Repository,
        platforms: Platforms,
        tags: Collection[Tag] | None,
        companions: Companions,
    ) -> None:
        self._lookups = lookups
        self._source = source
        self._platforms = platforms
        self._tags = tags
        self._companions = companions
        self._nodes: dict[Digest, Node] = {}
        self._lost: dict[Digest, Exception] = {}
        self._seen: set[Digest] = set()
        self._notes: list[str] = []
        self._is_known = True

    async def walk(self, root: Descriptor) -> None:
        level = [Lead(root.digest, root.media_type, is_root=True)]
        for _ in range(MAX_DEPTH):
            fresh = self._fresh(level)
            if not fresh:
                return
            if len(self._seen) > MAX_NODES:
                raise SourceLied(f"{root.digest} stands for more than {MAX_NODES} manifests")
            found = await asyncio.gather(*map(self._look, fresh))
            level = [lead for leads in found for lead in leads]
        if self._fresh(level):
            raise SourceLied(f"{root.digest} is nested deeper than {MAX_DEPTH}")

    def graph(self, root: Descriptor) -> Graph:
        """What was found; `Incomplete`."""
        demand(root.digest, self._nodes, self._lost)
        demand_platforms(root.digest, self._nodes, self._platforms)
        top = self._nodes[root.digest]
        if self._platforms is not None and top.descriptor.media_type not in INDEXES:
            self._note("is no index: taken whatever platform it is for")
        nodes = whole_ones(self._nodes)
        beside = frozenset(nodes.keys() - set(below(root.digest, nodes)))
        notes = self._notes[:MAX_NOTES]
        if len(self._notes) > MAX_NOTES:
            notes.append(f"and {len(self._notes) - MAX_NOTES} things more")
        return Graph(top.descriptor, nodes, beside, self._lost, tuple(notes), self._is_known)

    def _fresh(self, level: Iterable[Lead]) -> list[Lead]:
        """Each new manifest once; one that is a child is taken as that, whatever it may refer to besides."""
        fresh: dict[Digest, Lead] = {}
        for lead in level:
            if lead.digest not in self._seen and (lead.subject is None or lead.digest not in fresh):
                fresh[lead.digest] = lead
        self._seen |= fresh.keys()
        return list(fresh.values())

    async def _look(self, lead: Lead) -> list[Lead]:
        """Note the manifest, or that it is not to be had; gives where to go from it."""
        try:
            manifest = await self._lookups.manifest(self._source, lead)
            if lead.is_root and not is_manifest(manifest):
                raise SourceUnreadable(
                    "points a tag at what is no manifest", source=str(self._source.registry)
                )
            if lead.subject and (manifest.subject is None or manifest.subject.digest != lead.subject):
                return []  # listed, and refers to something else
            return await self._open(lead, manifest)
        except (StoreBroken, StoreFull):
            raise
        except (Failure, Refusal) as fault:
            self._lost[lead.digest] = fault
            return []

    async def _open(self, lead: Lead, manifest: Manifest) -> list[Lead]:
        found = mentions(manifest.data, manifest.media_type)
        wants = wanted(found, self._platforms)
        if wants.unreadable:
            raise Incomplete(f"{manifest.digest}: {wants.unreadable[0].where}")
        resolved = await self._resolve(manifest.digest, wants)
        children = [each for each in resolved if isinstance(each, Lead)]
        blobs = tuple(each for each in resolved if isinstance(each, Descriptor))
        needed = {each.digest for each in wants.mentions if each.needed}
        self._nodes[manifest.digest] = Node(
            manifest.descriptor,
            blobs,
            tuple(each.digest for each in children if each.digest in needed),
            lead.subject,
            frozenset(each.digest for each in wants.left_out),
            tuple(_images(found, {each.digest for each in children})),
            found.is_index and not blobs,
        )
        return [*children, *await self._referrers(manifest.digest)]

    async def _resolve(self, by: Digest, wants: Wanted) -> list[Descriptor | Lead]:
        """Blobs with their sizes, and manifests to look at; without what is neither and need not be."""
        told = [each for each in wants.mentions if each.needed or each.foreign]
        hints = [each for each in wants.mentions if not (each.needed or each.foreign)]
        if len(hints) > MAX_HINTS:
            self._note(f"{by} holds {len(hints)} digests; {MAX_HINTS} of them were looked for")
        asked = (self._resolve_one(by, each) for each in (*told, *hints[:MAX_HINTS]))
        return [each for each in await asyncio.gather(*asked) if each is not None]

    async def _resolve_one(self, by: Digest, named: Mention) -> Descriptor | Lead | None:
        lead = Lead(named.digest, named.media_type, named.size)
        if named.needed and named.kind is Kind.MANIFEST:
            return lead
        if named.needed and named.kind is Kind.BLOB and named.size is not None:
            return Descriptor(named.media_type, named.digest, named.size)
        try:
            return await self._blob_or_manifest(named, lead)
        except _UNKNOWN:
            if named.needed:
                raise Incomplete(f"{by} names {named.digest}, which its source does not have") from None
            kind = "the foreign layer " if named.foreign else ""
            self._note(f"{by} names {kind}{named.digest}, which its source does not have: left out")
        except Failure as failure:
            if named.needed or isinstance(failure, StoreBroken | StoreFull):
                raise
            self._note(f"{by} names {named.digest}, which could not be asked for: {failure.reason}")
        return None

    async def _blob_or_manifest(self, named: Mention, lead: Lead) -> Descriptor | Lead:
        """As a blob, else as a manifest; what is called a manifest the other way round. `BlobUnknown` and the like."""
        if named.kind is Kind.BLOB or named.foreign:
            return await self._blob(named)
        if not any(word in named.media_type for word in ("manifest", "index")):
            try:
                return await self._blob(named)
            except _UNKNOWN:
                return await self._manifest(lead)
        try:
            return await self._manifest(lead)
        except _UNKNOWN:
            return await self._blob(named)

    async def _manifest(self, lead: Lead) -> Lead:
        return replace(lead, media_type=(await self._lookups.manifest(self._source, lead)).media_type)

    async def _blob(self, named: Mention) -> Descriptor:
        size = named.size
        if size is None or not named.needed or named.kind is not Kind.BLOB:
            told = await self._lookups.size(self._source, named.digest)
            size = told if size is None else size
        return Descriptor(named.media_type or OCTETS, named.digest, size)

    async def _referrers(self, subject: Digest) -> list[Lead]:
        if self._companions.is_none:
            return []
        tagged = self._tags is None or referrers_tag(subject) in self._tags
        try:
            found = await self._lookups.referrers(self._source, subject, tagged)
        except (Failure, Refusal) as fault:
            self._is_known = False
            self._note(f"referrers of {subject} are not known: {fault.reason}")
            return []
        return [
            Lead(each.digest, each.media_type, each.size, subject)
            for each in found
            if self._companions.takes(each.artifact_type or each.media_type)
        ]

    def _note(self, what: str) -> None:
        self._notes.append(what)
