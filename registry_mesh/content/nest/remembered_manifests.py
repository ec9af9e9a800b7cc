"""Manifests by digest, held by a cache for all repositories, and asked for as one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from cachetools import LRUCache

from registry_mesh.content.nest.asked_once import AskedOnce
from registry_mesh.content.nest.names import NamesOfPlace
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reading import read_manifest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import Failure, SourceLied, StoreBroken, StoreFull
from registry_mesh.ports.pieces import put, whole
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.repositories import FetchedManifest, ManifestSource
from registry_mesh.tasks.flights import Flights

MANIFEST_LIMIT: Final = 64 << 20
"""Bytes of a manifest that a cache takes from a source; registries refuse far smaller ones."""


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
        """What is held, where the repository names it; else what the source gives. Failures also for what is held, is
        not known to be the repository's, and cannot be asked about."""
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
            if held is not None and self._names is not None and await self._names.have_elsewhere(digest):
                return held
            raise  # what is held for others is as what is not


def _media_type_key(digest: Digest) -> str:
    return f"media-types/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"
