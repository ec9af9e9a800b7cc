"""Tags, manifests and referrers of a source, remembered by a cache."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from cachetools import LRUCache

from registry_mesh.content.nest.asked_once import AskedOnce
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.names import NamesOfPlace
from registry_mesh.content.nest.remembered import Passing, Remembered
from registry_mesh.content.nest.subjects import referring
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reading import is_manifest, read_manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestInvalid, ManifestUnknown, NameUnknown
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import (
    Failure,
    SourceLied,
    SourceUnavailable,
    SourceUnreadable,
    StoreBroken,
    StoreFull,
)
from registry_mesh.ports.pieces import put, whole
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.repositories import (
    EVERY,
    FetchedManifest,
    ManifestSource,
    Referrers,
    ReferrerSource,
    Resolved,
    TagPage,
    TagSource,
)
from registry_mesh.ports.share import demand_share, spend_share
from registry_mesh.tasks.flights import Flights

MANIFEST_LIMIT: Final = 64 << 20
"""Bytes of a manifest that a cache takes from a source; registries refuse far smaller ones."""

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


class RememberedManifests:
    """Manifests by digest: immutable, so held for ever. One per process; `of` binds it to a source."""

    def __init__(self, store: CacheStore, records: KeyedRecords, memory: int = 32 << 20) -> None:
        self._store = store
        self._records = records
        self._once = AskedOnce(store)
        self._hot: LRUCache[Digest, Manifest] = LRUCache(memory, getsizeof=lambda m: len(m.data) + 1024)
        self._flights: Flights[tuple[Digest, Place | None], Manifest] = Flights()

    def of(
        self, source: ManifestSource, place: Place | None = None, names: NamesOfPlace | None = None
    ) -> PlaceManifests:
        """`place` is noted as where manifests come from; a manifest that it does not name is asked of `source`."""
        return PlaceManifests(self, source, place, names)

    async def held(self, digest: Digest) -> FetchedManifest | None:
        """The manifest, where it is held."""
        held = self._hot.get(digest) or await self._stored(digest)
        if held is None:
            return None
        self._remember(held)
        return FetchedManifest(held)

    async def fetched(
        self,
        digest: Digest,
        place: Place | None,
        look: Callable[[], Awaitable[Manifest | None]],
        ask: Callable[[], Awaitable[Manifest]],
    ) -> FetchedManifest:
        """The manifest as another process has brought it meanwhile, or `ask` brings it. `ManifestUnknown`, or the
        source's failure."""
        key = f"{place.registry}/{place.repository}@{digest}" if place is not None else str(digest)
        fetched = await self._flights.join((digest, place), lambda: self._once(key, look, ask))
        return FetchedManifest(fetched, Provenance(hit=False))

    def _remember(self, manifest: Manifest) -> None:
        if len(manifest.data) <= 1 << 20:
            self._hot[manifest.digest] = manifest

    async def _stored(self, digest: Digest) -> Manifest | None:
        try:
            async with self._store.open(digest) as reading:
                data = await whole(reading, MANIFEST_LIMIT)
            media_type = await self._records.get(_media_type_key(digest))
        except (BlobUnknown, StoreBroken, SourceLied):
            return None
        if media_type is None:
            return None  # a blob of that digest, but no manifest
        return read_manifest(data, media_type.decode(), digest)

    async def keep(self, manifest: Manifest, place: Place | None) -> Manifest:
        """Hold a manifest that a source gave, as far as there is room; the manifest again."""
        with contextlib.suppress(StoreFull, StoreBroken):  # served all the same
            await self._keep(manifest)
            if place is not None:
                await self._store.note_place(manifest.digest, place)
        self._remember(manifest)
        return manifest

    async def _keep(self, manifest: Manifest) -> None:
        await put(self._store, manifest.digest, manifest.data)
        await self._store.note_sizes(manifest.digest, [*manifest.blobs(), *manifest.manifests])
        await self._records.put(_media_type_key(manifest.digest), manifest.media_type.encode())

    async def close(self) -> None:
        """End the fetches under way."""
        await self._flights.close()


class PlaceManifests:
    """`ManifestSource` of one repository."""

    def __init__(
        self,
        manifests: RememberedManifests,
        source: ManifestSource,
        place: Place | None,
        names: NamesOfPlace | None,
    ) -> None:
        self._manifests = manifests
        self._source = source
        self._place = place
        self._names = names

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """What is held, where the repository names it; else what the source gives. `ManifestUnknown` also for what
        is held, is not known to be the repository's, and cannot be asked about."""
        held = await self._manifests.held(digest)
        named = self._names is None or await self._names.have(digest)
        answer = held if named and held is not None else await self._fetched(digest, held)
        if self._names is not None:
            manifest = answer.manifest
            await self._names.note_manifest(manifest.digest, manifest.data, manifest.media_type)
        return answer

    async def keep(self, manifest: Manifest) -> None:
        """Hold a manifest that the repository's source gave for a tag."""
        await self._manifests.keep(manifest, self._place)
        if self._names is not None:
            await self._names.note_manifest(manifest.digest, manifest.data, manifest.media_type)

    async def _asked(self, digest: Digest) -> Manifest:
        manifest = (await self._source.manifest(digest)).manifest
        await self.keep(manifest)
        return manifest

    async def _brought(self, digest: Digest) -> Manifest | None:
        """What another process has brought for this repository."""
        if self._names is not None and not await self._names.have(digest):
            return None
        held = await self._manifests.held(digest)
        return held.manifest if held is not None else None

    async def _fetched(self, digest: Digest, held: FetchedManifest | None) -> FetchedManifest:
        try:
            return await self._manifests.fetched(
                digest, self._place, lambda: self._brought(digest), lambda: self._asked(digest)
            )
        except Failure:
            if held is None or self._names is None:
                raise
            if await self._names.have_elsewhere(digest):
                return held
            raise ManifestUnknown("not known to be in this repository", digest=str(digest)) from None


def _itself(manifest: Manifest) -> Descriptor:
    return Descriptor(manifest.media_type, manifest.digest, len(manifest.data))


def _descriptor(answer: str | None) -> Descriptor | None:
    """What a tag was said to point at. None also for a damaged record: then it is asked for as for the first time."""
    try:
        return Descriptor.parse(json.loads(answer), "tag") if answer is not None else None
    except (ValueError, ManifestInvalid):
        return None


def _media_type_key(digest: Digest) -> str:
    return f"media-types/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"
