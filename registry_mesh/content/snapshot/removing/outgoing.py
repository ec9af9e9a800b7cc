"""What runs push out to other registries, and which tags there are this mesh's own.

A tag there that nobody noted was put by somebody else: it is neither overwritten nor deleted. What is to be put is
noted before, so that a crash between leaves no tag of ours unknown; lost, nothing there is touched any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Final

from registry_mesh.content.snapshot.removing.passed_on import PassedOn
from registry_mesh.content.snapshot.removing.pinned import PinnedTarget
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import SourceRefused
from registry_mesh.ports.outward import PushedRepository
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords, Records
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication import sentences

_BELOW: Final = "receipts/pushed/"
_FORMER: Final = 3
"""Values of a tag that are known as ours: the last, and some before it, of which one may still be there."""


class OutgoingRepository(PassedOn[PushedRepository]):
    """Implements `ports.outward.PushedRepository` over the real one."""

    def __init__(self, place: Place, real: PushedRepository, records: KeyedRecords) -> None:
        self._place = place
        super().__init__(real)
        self._records = records

    @property
    def kept(self) -> Repository:
        """What is there."""
        return PinnedTarget(self._real).kept

    async def has(self, blob: Descriptor) -> bool:
        """Whether it is there."""
        return await self._real.has(blob)

    async def push(self, blob: Descriptor, source: BlobSource, moved: Callable[[int], None]) -> None:
        """As the real one."""
        await self._real.push(blob, source, moved)

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        """Where there is none yet, or ours; `SourceRefused` where somebody else put it there."""
        key = f"{_BELOW}{self._place}/{tag}.json"
        ours = await _noted(self._records, key)
        there = await self._there(tag)
        if there == target.digest:
            return
        if there is not None and str(there) not in ours:
            raise SourceRefused(sentences.foreign(f"{self._place}:{tag}"))
        noted = [str(target.digest), *(each for each in ours if each != str(target.digest))][:_FORMER]
        if noted != ours:
            await self._records.put(key, json.dumps(noted).encode())
        await self._real.tag(tag, target, source)

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """Where it is still what this mesh put there; False where it is not. `SourceRefused` says what the registry
        does not do."""
        key = f"{_BELOW}{self._place}/{tag}.json"
        there = await self._there(tag)
        if str(target) not in await _noted(self._records, key) or there not in (target, None):
            return False
        if there is not None and not await self._real.untag(tag, target, because, change):
            return False
        await self._records.delete([key])
        return True

    def losing(self, tags: Collection[Tag]) -> OutgoingRepository:
        """As the real one."""
        return OutgoingRepository(self._place, self._real.losing(tags), self._records)

    async def restore(self, tag: Tag, manifest: Manifest) -> None:
        """Put back a tag that was deleted. `SourceRefused` where there is one of somebody else, or where what the
        manifest names was collected there."""
        await self._real.put_manifest(manifest)
        await self.tag(tag, manifest.descriptor, "rules undo")

    async def _there(self, tag: Tag) -> Digest | None:
        try:
            return (await self._real.kept.tags.resolve(tag)).descriptor.digest
        except (ManifestUnknown, NameUnknown):
            return None


async def pushed(records: Records) -> dict[Place, dict[Tag, str]]:
    """The tags that were put at other registries, by place, and the digest that each was given last."""
    found: dict[Place, dict[Tag, str]] = {}
    async for key in records.walk(_BELOW):
        place, _, tag = key.removeprefix(_BELOW).removesuffix(".json").rpartition("/")
        for digest in (await _noted(records, key))[:1]:
            found.setdefault(Place.parse(place), {})[Tag(tag)] = digest
    return found


async def _noted(records: KeyedRecords, key: str) -> list[str]:
    try:
        told = json.loads(await records.get(key) or b"[]")
    except ValueError:
        return []
    return [str(each) for each in told] if isinstance(told, list) else []
