"""A repository of another registry as one that rules fill (distribution-spec, "Push")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.blobs import BlobInfo, BlobSource
from registry_mesh.ports.failures import SourceRefused
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.blobs import ParentBlobs
from registry_mesh.upstream.pushes.deletion import Deletion
from registry_mesh.upstream.pushes.place import PushPlace
from registry_mesh.upstream.pushes.traits import Traits
from registry_mesh.upstream.pushes.upload import CHUNK, Upload


class OutwardRepository:
    """Implements `ports.outward.PushedRepository`. `read`: the same, as it is pulled from."""

    def __init__(
        self,
        place: PushPlace,
        read: Repository,
        traits: Traits,
        records: KeyedRecords,
        chunk: int = CHUNK,
        going: Collection[Tag] = (),
    ) -> None:
        self._going = frozenset(going)
        self._place = place
        self._read = read
        self._traits = traits
        self._records = records
        self._chunk = chunk
        self._listing = asyncio.Lock()

    @property
    def kept(self) -> Repository:
        """What is there, as the registry says now."""
        return replace(self._read, blobs=_ThereBlobs(self._place))

    async def has(self, blob: Descriptor) -> bool:
        """By one HEAD."""
        try:
            await self.kept.blobs.stat(blob.digest)
        except BlobUnknown:
            return False
        self._traits.mounts.note(blob.digest, self._place.name)
        return True

    async def push(self, blob: Descriptor, source: BlobSource, moved: Callable[[int], None]) -> None:
        """Nothing is sent of what is there."""
        if await self.has(blob):
            return
        mount = self._traits.mounts.of(blob.digest, self._place.name)
        await Upload(self._place, blob, self._records, moved, self._traits, self._chunk).run(source, mount)
        self._traits.mounts.note(blob.digest, self._place.name)

    async def link(self, blob: Digest) -> None:
        """Nothing: what was pushed belongs to the repository."""

    async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
        """Where it is not there yet. A registry that lists no referrers itself gets the tag that lists them: what has a
        subject is put once more, as it may be there and not listed yet."""
        if manifest.subject is None and await self._is_there(str(manifest.digest)):
            return
        answered = await self._put(manifest, str(manifest.digest))
        if manifest.subject is not None and answered != str(manifest.subject.digest):
            await self._refer(manifest, manifest.subject.digest)

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        """The manifest is put once more, under the tag: a registry switches that at once, or not at all."""
        manifest = (await self._read.manifests.manifest(target.digest)).manifest
        await self._put(manifest, tag, target.media_type)

    async def hold(self, digest: Digest) -> bool:
        """Nothing: how long a manifest without a tag stays there is that registry's to say."""
        return False

    async def unhold(self, digest: Digest) -> None:
        """Nothing: see `hold`."""

    async def pinned(self) -> Sequence[Digest]:
        """None: see `hold`."""
        return ()

    def losing(self, tags: Collection[Tag]) -> OutwardRepository:
        """The same, with what is to be deleted beside each of these."""
        return OutwardRepository(self._place, self._read, self._traits, self._records, self._chunk, tags)

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """The tag alone, where the registry does that; else its manifest, where nothing else there needs it."""
        return await Deletion(self._place, self._read, self._going).run(tag, target)

    async def _is_there(self, reference: str) -> bool:
        path = Endpoint.MANIFEST.path(self._place.name, reference)
        async with self._place.looked(Endpoint.MANIFEST, reference) as answer:
            if answer.status not in (200, 404):
                raise SourceRefused(f"answered {answer.status} to HEAD {path}", source=self._place.source)
            return answer.status == 200

    async def _put(self, manifest: Manifest, reference: str, media_type: str = "") -> str:
        """Gives the subject that the registry says it listed it under; empty where it says nothing."""
        path = Endpoint.MANIFEST.path(self._place.name, reference)
        headers = {"Content-Type": media_type or manifest.media_type}
        async with self._place.request("PUT", path, headers, manifest.data) as answer:
            await self._place.expect(answer, f"manifest {manifest.digest}", 201, size=len(manifest.data))
            return answer.field("OCI-Subject")

    async def _refer(self, manifest: Manifest, subject: Digest) -> None:
        """Add it to the tag of the subject's referrers (distribution-spec, "Pushing Manifests with Subject")."""
        tag = Tag(f"{subject.algorithm}-{subject.hex}")
        async with self._listing:
            listed = await self._referrers(tag)
            if any(each.get("digest") == str(manifest.digest) for each in listed):
                return
            manifests = [*listed, manifest.descriptor.document()]
            document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
            data = json.dumps(document, separators=(",", ":")).encode()
            await self._put(Manifest.parse(data, OCI_INDEX), tag)

    async def _referrers(self, tag: Tag) -> list[dict[str, Any]]:  # Any: JSON as it came
        if not await self._is_there(tag):
            return []
        digest = (await self._read.tags.resolve(tag)).descriptor.digest
        data = (await self._read.manifests.manifest(digest)).manifest.data
        return listed(data)


class _ThereBlobs(ParentBlobs):
    """Implements `ports.blobs.BlobSource`: 404 to HEAD says that the blob is not there."""

    def __init__(self, place: PushPlace) -> None:
        super().__init__(place.parent)
        self._place = place

    async def stat(self, digest: Digest) -> BlobInfo:
        """By one HEAD."""
        async with self._place.looked(Endpoint.BLOB, str(digest)) as answer:
            if answer.status == 404:
                raise BlobUnknown(f"{self._parent.source} does not have it")
            if answer.status != 200 or answer.length is None:
                raise SourceRefused(f"answered {answer.status} to HEAD", source=self._parent.source)
            return BlobInfo(digest, answer.length, self._parent.here)


def listed(data: bytes) -> list[dict[str, Any]]:  # Any: JSON as it came
    """The entries of an index; none of what is no index."""
    try:
        told = json.loads(data)["manifests"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
