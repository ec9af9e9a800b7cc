"""Tags and referrers of a repository, remembered by a cache."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import Final

from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.names import NamesOfPlace
from registry_mesh.content.nest.remembered import Passing, Remembered
from registry_mesh.content.nest.remembered_manifests import PlaceManifests
from registry_mesh.content.nest.subjects import referring
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reading import is_manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestInvalid, ManifestUnknown, NameUnknown
from registry_mesh.ports.failures import (
    SourceUnavailable,
    SourceUnreadable,
)
from registry_mesh.ports.repositories import (
    EVERY,
    Referrers,
    ReferrerSource,
    Resolved,
    TagPage,
    TagSource,
)
from registry_mesh.ports.share import demand_share, spend_share

_SINCE: Final = "unconfirmed-since"
"""Of a remembered tag: Unix seconds since which its source has not followed it."""

_FIRST: Final = 100
"""Tags of a list that are remembered apart: most ask for no more, and most repositories have no more."""

_log: Final = logging.getLogger(__name__)


class _Missing(SourceUnavailable):
    """A tag points at what is not there."""


class RememberedTags:
    """`TagSource` and `ReferrerSource` of one repository."""

    def __init__(
        self,
        registry: RegistryName,
        name: RepositoryName,
        tags: TagSource,
        referrers: ReferrerSource,
        remembered: Remembered,
        freshness: Freshness,
        manifests: PlaceManifests,
        names: NamesOfPlace | None = None,
    ) -> None:
        """`manifests` are the repository's; `names` learns which digests its answers name."""
        self._prefix = f"remembered/{registry.replace(':', '_')}/{name}"
        self._tags = tags
        self._referrers = referrers
        self._remembered = remembered
        self._freshness = freshness
        self._manifests = manifests
        self._names = names

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """What the tag points at, with the manifest: its own type and size are told, whatever was said of them. A tag
        moves only to a manifest that can be had."""

        async def fetch(last: str | None) -> str:
            if last is None:
                await demand_share()
            try:
                resolved = await self._tags.resolve(tag, _descriptor(last) or known)
            except (ManifestUnknown, NameUnknown):
                spend_share()
                raise
            try:
                document = (await self._pointed_at(resolved)).document()
            except _Missing:  # it has moved meanwhile; or HEAD named what is not there, and GET is asked now
                resolved = await self._tags.resolve(tag)
                document = (await self._pointed_at(resolved)).document()
            if resolved.provenance.stale:
                document |= {_SINCE: time.time() - (resolved.provenance.age or 0.0)}
            return json.dumps(document)

        answer, provenance = await self._remembered.ask(f"{self._prefix}/_tags/{tag}", self._freshness, fetch)
        document = json.loads(answer)
        since = document.pop(_SINCE, None)
        if since is not None:  # the source has not followed it since then
            provenance = replace(provenance, stale=True, age=max(0.0, time.time() - since), fresh_for=None)
        told = Descriptor.parse(document, "tag")
        if self._names is not None:
            await self._names.note(told.digest)
        manifest = (await self._manifests.manifest(told.digest)).manifest
        return Resolved(_itself(manifest), provenance, manifest)

    async def _pointed_at(self, resolved: Resolved) -> Descriptor:
        manifest = resolved.manifest or await self._had(resolved)
        if resolved.manifest is not None:
            await self._manifests.keep(manifest)
        if not is_manifest(manifest):
            raise SourceUnreadable("points a tag at what is no manifest", source=resolved.provenance.source)
        return _itself(manifest)

    async def _had(self, resolved: Resolved) -> Manifest:
        digest = resolved.descriptor.digest
        if self._names is not None:
            await self._names.note(digest)
        try:
            return (await self._manifests.manifest(digest)).manifest
        except ManifestUnknown:
            raise _Missing(
                f"points a tag at {digest}, which it does not have", source=resolved.provenance.source
            ) from None

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """From the first page of the source's list, where that will do, else from the whole list."""
        if limit <= _FIRST:
            page = await self._listed("_first", _FIRST)
            after = [tag for tag in page.tags if tag > last]
            if not page.more or len(after) >= limit:
                return TagPage(tuple(after[:limit]), page.more or len(after) > limit, page.provenance)
        page = await self._listed("_list", EVERY)
        after = [tag for tag in page.tags if tag > last]
        return TagPage(tuple(after[:limit]), len(after) > limit, page.provenance)

    async def _listed(self, key: str, limit: int) -> TagPage:
        async def fetch(_: str | None) -> str:
            page = await self._tags.tags(limit)
            if page.note:
                _log.warning("%s: its list of tags %s", self._prefix.partition("/")[2], page.note)
            return json.dumps({"tags": page.tags, "more": page.more})

        path = f"{self._prefix}/{key}"
        answer, provenance = await self._remembered.ask(path, self._freshness, fetch, long=True)
        told = json.loads(answer)
        tags, more = (
            (told, False) if isinstance(told, list) else (told["tags"], told["more"])
        )  # a list: as of old
        return TagPage(tuple(map(Tag, tags)), more, provenance)

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        """The referrers as they are remembered, asked for again when they are no longer fresh."""

        async def fetch(_: str | None) -> str:
            named = await self._is_named(subject)
            if not named:
                await demand_share()
            found = await self._referrers.referrers(subject)
            listed = found.descriptors
            if not listed and not named:
                spend_share()
            if not found.checked:
                listed = await referring(subject, listed, self._manifests)
            answer = json.dumps([d.document() for d in listed])
            return answer if listed or await self._is_named(subject) else Passing(answer)

        key = f"{self._prefix}/_referrers/{subject.algorithm}/{subject.hex}"
        answer, provenance = await self._remembered.ask(key, self._freshness, fetch)
        parsed = [Descriptor.parse(d, f"manifests[{i}]") for i, d in enumerate(json.loads(answer))]
        if self._names is not None:
            await self._names.note(*(each.digest for each in parsed))
        return Referrers(tuple(parsed), provenance)

    async def _is_named(self, digest: Digest) -> bool:
        return self._names is None or await self._names.have(digest)


def _itself(manifest: Manifest) -> Descriptor:
    return Descriptor(manifest.media_type, manifest.digest, len(manifest.data))


def _descriptor(answer: str | None) -> Descriptor | None:
    """What a tag was said to point at. None also for a damaged record: then it is asked for as for the first time."""
    try:
        return Descriptor.parse(json.loads(answer), "tag") if answer is not None else None
    except (ValueError, ManifestInvalid):
        return None
