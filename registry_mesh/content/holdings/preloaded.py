"""A site's side of a run of rules: what is taken comes by the way of clients, and is remembered as what they asked for.

Nothing is kept beyond that: the site evicts as it does else, and a client is told what the parents say.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from registry_mesh.content.snapshot.copying.copy_blob import Moved
from registry_mesh.content.snapshot.copying.copy_keys import Bring
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.findings.words import size
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown, Refusal
from registry_mesh.ports.failures import Failure, SourceLied, StoreFull
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.repositories import RegistrySource, Repository, Resolved, TagPage

Served = Callable[[RegistryName, RepositoryName], Repository]
"""A repository as clients read it."""


def bring_into(limit: int | None, key: str) -> Bring:
    """Bring into a store that may hold `limit` bytes, as `key` of the configuration says; None: as many as come."""

    async def bring(offer: Offer, blob: Descriptor, moved: Moved) -> None:
        if limit is not None and blob.size > limit:
            told = f"{blob.digest} has {size(blob.size)}, and the store may hold {size(limit)}: raise {key}"
            raise StoreFull(told)
        await bring_by_reading(offer, blob, moved)

    return bring


async def bring_by_reading(offer: Offer, blob: Descriptor, moved: Moved) -> None:
    """Implements `copy_keys.Bring`: read as a client does, which leaves the blob in the store that has room for it."""
    came = 0
    try:
        async with offer.blobs.open(blob.digest) as reading:
            if reading.info.size != blob.size:
                told = f"{blob.digest} has {reading.info.size} bytes and is said to have {blob.size}"
                raise SourceLied(told, source=reading.provenance.source)
            async for piece in reading.pieces():
                came += len(piece)
                moved(len(piece))
    except BaseException:
        moved(-came)
        raise


class PreloadedSource:
    """Implements `ports.repositories.RegistrySource`: tags as the parents have them now, all else by way of the
    site."""

    def __init__(self, registry: RegistryName, parents: RegistrySource, served: Served) -> None:
        self._registry = registry
        self._parents = parents
        self._served = served

    def repository(self, name: RepositoryName) -> Repository:
        """The repository."""
        served = self._served(self._registry, name)
        return replace(served, tags=self._parents.repository(name).tags)

    def repositories(self) -> AsyncIterator[RepositoryName]:
        """All that the parents list."""
        return self._parents.repositories()


class PreloadedRepositories:
    """Implements `ports.repositories.RepositoryStore`. One of these a run."""

    def __init__(self, served: Served, records: KeyedRecords) -> None:
        self._served = served
        self._records = records
        self._tags: dict[Place, _PreloadedTags] = {}

    def repository(self, registry: RegistryName, name: RepositoryName) -> PreloadedRepository:
        """The repository as the site serves it."""
        place = Place(registry, name)
        if place not in self._tags:
            self._tags[place] = _PreloadedTags(self._records, place)
        return PreloadedRepository(self._served(registry, name), self._tags[place])

    @property
    def places(self) -> Iterable[Place]:
        """Those that were asked for."""
        return self._tags.keys()

    async def repositories(self, registry: RegistryName, last: str = "") -> AsyncIterator[RepositoryName]:
        """None: a site makes room by itself."""
        for name in tuple[RepositoryName, ...]():
            yield name

    async def let_go(
        self, registry: RegistryName, denied: Callable[[RepositoryName, Digest], bool]
    ) -> list[tuple[RepositoryName, Digest]]:
        """None: nothing is kept for itself."""
        return []


class PreloadedRepository:
    """One of them."""

    def __init__(self, served: Repository, tags: _PreloadedTags) -> None:
        self._served = served
        self._tags = tags

    @property
    def kept(self) -> Repository:
        """As clients read it; of tags what runs brought."""
        return replace(self._served, tags=self._tags)

    async def link(self, blob: Digest) -> None:
        """Nothing: which repository names it, its manifest says."""

    async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
        """Have the site remember whose it is."""
        await self._served.manifests.manifest(manifest.digest)

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        """Have the site remember what the tag is, and what refers to that."""
        await self._served.tags.resolve(tag)
        with suppress(Failure, Refusal):
            await self._served.referrers.referrers(target.digest)
        await self._tags.note(tag, target)

    async def hold(self, digest: Digest) -> bool:
        """Nothing: it is here as long as the site keeps it."""
        return False

    async def unhold(self, digest: Digest) -> None:
        """Nothing: see `hold`."""

    async def pinned(self) -> Sequence[Digest]:
        """None: see `hold`."""
        return ()

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """Forget that it was brought."""
        return await self._tags.forget(tag)


async def preloaded(records: KeyedRecords, place: Place) -> dict[Tag, Digest]:
    """The tags of a repository that runs brought, and what each was then. `StoreBroken`."""
    return {tag: each.digest for tag, each in (await _PreloadedTags(records, place).known()).items()}


@dataclass(frozen=True, slots=True)
class _PreloadedTags:
    """Implements `ports.repositories.TagSource`: what runs brought last."""

    records: KeyedRecords
    place: Place
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Several tags are brought at once."""

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """`ManifestUnknown` where none brought it."""
        found = (await self.known()).get(tag)
        if found is None:
            raise ManifestUnknown(tag=tag)
        return Resolved(found)

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """All of them after `last`."""
        return TagPage(tuple(sorted(tag for tag in await self.known() if tag > last)[:limit]))

    async def note(self, tag: Tag, target: Descriptor) -> None:
        """That it was brought."""
        async with self.writing:
            await self._keep({**await self.known(), tag: target})

    async def forget(self, tag: Tag) -> bool:
        """That it was; False where it was not."""
        async with self.writing:
            found = await self.known()
            there = found.pop(tag, None) is not None
            if there:
                await self._keep(found)
        return there

    async def known(self) -> dict[Tag, Descriptor]:
        """All; none where that cannot be read."""
        try:
            told = json.loads(await self.records.get(self._key) or b"{}")
            return {Tag(tag): Descriptor.parse(each, "a tag") for tag, each in told.items()}
        except (ValueError, AttributeError, Refusal):
            return {}

    async def _keep(self, tags: dict[Tag, Descriptor]) -> None:
        document = {tag: Descriptor(d.media_type, d.digest, d.size).document() for tag, d in tags.items()}
        await self.records.put(self._key, json.dumps(document, sort_keys=True).encode())

    @property
    def _key(self) -> str:
        return f"receipts/{self.place.registry}/{self.place.repository}/preloaded.json"
