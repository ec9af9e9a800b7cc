"""The write side of one repository: `ports.Pushes` over its documents and the store's bytes.

Order of every push: touch (`lifecycle`), data, manifest's bytes, link, referrer's document, manifest's document,
tag. A crash between any two leaves what was there before, and perhaps something that nothing refers to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest, new_hasher
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, Unsupported
from registry_mesh.ports.blobs import BlobInfo, Ingest
from registry_mesh.ports.happenings import DELETE, PUSH, Happening
from registry_mesh.ports.pieces import put
from registry_mesh.ports.pushes import Pushed, Pusher, Upload
from registry_mesh.ports.uploads import Owner, new_id
from registry_mesh.repositories import keys as repository_keys
from registry_mesh.repositories.keys import RepositoryKeys
from registry_mesh.repositories.linked_blobs import LinkedBlobs
from registry_mesh.repositories.linking import LinkingIngest
from registry_mesh.repositories.origin_store import OriginStore
from registry_mesh.repositories.parts import RepositoryParts
from registry_mesh.repositories.push_policy import (
    Precondition,
    allow_move,
    allow_tag,
)
from registry_mesh.repositories.quotas import Share
from registry_mesh.repositories.references import References
from registry_mesh.repositories.tag_log import Decision, Moved, only_from


class RepositoryPushes:
    """`ports.Pushes` of one repository."""

    def __init__(self, store: OriginStore, parts: RepositoryParts) -> None:
        self._store = store
        self._parts = parts
        self._references = References(store, parts)

    # Uploads

    async def begin(self, who: Pusher, algorithm: str = "sha256") -> Upload:
        """Begin an upload session. `QuotaExceeded` where there is no room for any byte."""
        new_hasher(algorithm)  # DigestInvalid for one we do not support
        (await self.share()).demand(1)
        return await self._store.uploads.begin(self._owner(who), algorithm)

    async def status(self, who: Pusher, upload: str) -> Upload:
        """Where a session stands; `BlobUploadUnknown`."""
        return await self._store.uploads.status(self._owner(who), upload)

    @asynccontextmanager
    async def append(
        self, who: Pusher, upload: str, start: int | None, size: int | None = None
    ) -> AsyncIterator[Ingest]:
        """Go on with a session; its commit links the blob to the repository. `QuotaExceeded` before a byte is taken."""
        share = await self.share()
        async with self._store.uploads.append(self._owner(who), upload, start, size) as ingest:
            whole = ingest.offset + (size or 0)
            share.demand(whole, upload=upload)
            with share.announced(whole, upload):
                yield LinkingIngest(ingest, self, who, share, whole, upload)

    @asynccontextmanager
    async def monolithic(self, who: Pusher, expected: Digest, size: int | None) -> AsyncIterator[Ingest]:
        """Take a whole blob and link it to the repository. `QuotaExceeded` before a byte is taken."""
        share = await self.share()
        upload = new_id()  # of no session: nobody goes on with it
        share.demand(size or 0, expected)
        with share.announced(size or 0, upload):
            try:
                async with self._store.blobs.ingest(expected, size, expected.algorithm) as ingest:
                    yield LinkingIngest(ingest, self, who, share, size or 0, upload)
            finally:
                share.end(upload)

    async def cancel(self, who: Pusher, upload: str) -> None:
        """End a session and forget its bytes; `BlobUploadUnknown`."""
        await self._store.uploads.cancel(self._owner(who), upload)
        (await self.share()).end(upload)

    async def mount(self, who: Pusher, digest: Digest, source: RepositoryName | None) -> bool:
        """Link a blob of another repository that `who` may read; False where there is none."""
        if await self._parts.blobs.linked_at(digest) is not None:
            source = self._parts.name
        source = await self._readable_source(who, digest, source)
        if source is None:
            return False
        await self.touch(digest)
        if not await self._links(source, digest):  # it went before the touch
            return False
        try:
            info = await self._store.blobs.stat(digest)
        except BlobUnknown:
            return False
        async with self.taking(info.size, digest) as share:
            await self.link(info, who)
            share.add(digest, info.size)
        return True

    # Manifests and tags

    async def put_manifest(
        self,
        who: Pusher,
        manifest: Manifest,
        tags: Sequence[Tag],
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Pushed:
        """Store, link and tag a manifest; see `ports.pushes.Pushes`."""
        precondition = Precondition(if_match, if_none_match)
        if not tags:
            known = await self._parts.shelf.find(manifest.digest)
            precondition.check(str(manifest.digest), manifest.digest if known else None)
        decisions = [self._decision(who, tag, manifest.digest, precondition) for tag in tags]
        for tag, decide in zip(tags, decisions, strict=True):
            entry = await self._parts.tags.current(tag)  # refuse early, before anything is written
            decide(entry.digest if entry else None)
        await self._references.demand(manifest)
        await self.touch(manifest.digest)
        told = self._happening(PUSH, who, _plain(manifest), tags)
        async with self.taking(len(manifest.data), manifest.digest) as share:
            begun = await self._store.begin(told)
            await put(self._store.blobs, manifest.digest, manifest.data)
            await self._store.found(self._parts)
            await self._shelve(manifest, who)
            share.add(manifest.digest, len(manifest.data))
        moved: list[tuple[Tag, Digest]] = []
        for tag, decide in zip(tags, decisions, strict=True):
            before = await self._parts.tags.move(tag, _plain(manifest), who, decide)
            if before is not None and before.digest not in (None, manifest.digest):
                moved.append((tag, before.digest))
        if tags and await self._parts.shelf.find(manifest.digest) is None:
            await self._shelve(manifest, who)  # deleted between the two: this push came after that
        await self._store.announce(told, begun)
        subject = manifest.subject.digest if manifest.subject else None
        return Pushed(manifest.digest, subject, tuple(tags), tuple(moved))

    async def delete_tag(self, who: Pusher, tag: Tag, if_match: str | None = None) -> None:
        """Delete a tag; `tags undo` brings it back within the grace. `ManifestUnknown`, `Conflict`."""

        def decide(current: Digest | None) -> None:
            if current is None:
                raise ManifestUnknown("no such tag", tag=tag)
            allow_move(self._store.policy, self._parts.name, tag, current, None, Precondition(if_match))

        standing = await self._parts.tags.current(tag)
        decide(standing.digest if standing else None)  # refuse early, before anything is noted
        assert standing is not None and standing.descriptor is not None, "it was let through"
        begun = await self._store.begin(self._happening(DELETE, who, standing.descriptor, (tag,)))
        before = await self._parts.tags.move(tag, None, who, decide)
        if before is not None and before.descriptor is not None:
            await self._store.announce(self._happening(DELETE, who, before.descriptor, (tag,)), begun)

    async def delete_manifest(self, who: Pusher, digest: Digest) -> None:
        """Delete a manifest and the tags that point at it. `ManifestUnknown`."""
        shelved = await self._parts.shelf.find(digest)
        if shelved is None:
            raise ManifestUnknown(digest=str(digest))
        await self._refuse_needed(digest)
        tags = await self._parts.tags.pointing_at(digest)
        for tag in tags:
            allow_move(self._store.policy, self._parts.name, tag, digest, None, Precondition())
        told = self._happening(DELETE, who, shelved.descriptor, tags)
        begun = await self._store.begin(told)
        for tag in tags:
            with suppress(Moved):
                await self._parts.tags.move(tag, None, who, only_from(digest))
        await self._parts.shelf.unshelve(shelved, self._store.lifecycle.clock(), who)
        await self._store.announce(told, begun)

    async def delete_blob(self, who: Pusher, digest: Digest) -> None:
        """Unlink a blob from this repository. `BlobUnknown`."""
        if await self._parts.blobs.linked_at(digest) is None:
            raise BlobUnknown(digest=str(digest))
        await self._refuse_needed(digest)
        await self.touch(digest)  # its readers may read on for the grace
        await self._parts.blobs.unlink(digest)

    async def _refuse_needed(self, digest: Digest) -> None:
        """`Unsupported` where what a tag points at would be broken without it."""
        tag = None if self._store.policy.sparse else await self._store.named_by.tag_on(self._parts, digest)
        if tag is not None:
            raise Unsupported(
                f"{self._parts.name}:{tag} needs it: delete that tag first", tag=tag, digest=str(digest)
            )

    # What the ingest and the methods above are made of

    async def touch(self, digest: Digest) -> None:
        """Spare the digest from collections for the grace."""
        await self._store.lifecycle.touch(digest)

    async def share(self) -> Share:
        """What this repository's projects have left."""
        return await self._store.quotas.of(self._parts.name)

    def taking(
        self, size: int, digest: Digest | None, upload: str = ""
    ) -> AbstractAsyncContextManager[Share]:
        """To be entered while something is linked: `QuotaExceeded` where it does not fit."""
        return self._store.quotas.taking(self._parts.name, size, digest, upload)

    async def link(self, info: BlobInfo, who: Pusher) -> None:
        """The blob belongs to this repository from now on."""
        await self._store.found(self._parts)
        await self._parts.blobs.link(info, self._store.lifecycle.clock(), who.subject)

    async def _readable_source(
        self, who: Pusher, digest: Digest, source: RepositoryName | None
    ) -> RepositoryName | None:
        """`source`, else any repository that `who` may read, if it has the blob."""
        if source is not None:
            return source if await self._links(source, digest) else None
        prefix = repository_keys.linked(digest)
        async for key in self._store.records.walk(prefix):
            name = repository_keys.linked_name(digest, key)
            if self._store.may_read(who, name) and await self._links(name, digest):
                return name
        return None

    async def _links(self, name: RepositoryName, digest: Digest) -> bool:
        blobs = LinkedBlobs(self._store.records, self._store.blobs, RepositoryKeys(name))
        return await blobs.linked_at(digest) is not None

    def _happening(self, kind: str, who: Pusher, what: Descriptor, tags: Sequence[Tag]) -> Happening:
        at = self._store.lifecycle.clock()
        return Happening(
            kind, self._parts.name, what.digest, tuple(tags), what.media_type, what.size, who.subject, at
        )

    async def _shelve(self, manifest: Manifest, who: Pusher) -> None:
        await self._parts.shelf.shelve(manifest, self._store.lifecycle.clock(), who)

    def _decision(self, who: Pusher, tag: Tag, wanted: Digest, precondition: Precondition) -> Decision:
        def decide(current: Digest | None) -> None:
            allow_tag(who, self._parts.name, tag, current, wanted)
            allow_move(self._store.policy, self._parts.name, tag, current, wanted, precondition)

        return decide

    def _owner(self, who: Pusher) -> Owner:
        return Owner(self._parts.name, who.subject)


def _plain(manifest: Manifest) -> Descriptor:
    return Descriptor(manifest.media_type, manifest.digest, len(manifest.data))
