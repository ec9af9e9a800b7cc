"""The write side of a repository: uploads, manifests, tags, deletes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.ports.blobs import Ingest


@dataclass(frozen=True, slots=True)
class Upload:
    """A running upload session. `id` is unguessable and good only for its repository and subject."""

    id: str
    offset: int
    algorithm: str = "sha256"


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that was taken."""

    digest: Digest
    subject: Digest | None = None
    tags: tuple[Tag, ...] = ()
    moved: tuple[tuple[Tag, Digest], ...] = ()
    """Tags that pointed at something else, and at what."""


@dataclass(frozen=True, slots=True)
class Pusher:
    """Who pushes: bound to upload sessions and written to the tag history."""

    subject: str = "anonymous"
    address: str = field(default="", compare=False)
    may_create: bool = field(default=True, compare=False)
    """Whether it may set a tag that does not exist."""
    may_move: bool = field(default=True, compare=False)
    """Whether it may move a tag that exists."""


class UploadSessions(Protocol):
    """Blobs that come in several requests. Every method takes the session's owner; to anybody else, and for any other
    repository, the session does not exist."""

    async def begin(self, who: Pusher, algorithm: str = "sha256") -> Upload:
        """Begin a session. `DigestInvalid` for an algorithm that is not supported."""
        ...

    async def status(self, who: Pusher, upload: str) -> Upload:
        """Return where a session stands. `BlobUploadUnknown` where there is none of this repository and owner."""
        ...

    def append(
        self, who: Pusher, upload: str, start: int | None, size: int | None = None
    ) -> AbstractAsyncContextManager[Ingest]:
        """Go on with a session at `start` (None: where it stands; `RangeInvalid` where it stands elsewhere).

        Leaving keeps what was written; `commit` ends the session and links the blob to the repository.
        One append at a time: a second one is `BlobUploadInvalid`. `size`: bytes that are to come now, where that is
        known; `StoreFull` before any is taken where they do not fit.
        """
        ...

    async def cancel(self, who: Pusher, upload: str) -> None:
        """End a session and forget its bytes. `BlobUploadUnknown`."""
        ...


class BlobPushes(Protocol):
    """Blobs that come in one request, or are on the node already."""

    def monolithic(
        self, who: Pusher, expected: Digest, size: int | None
    ) -> AbstractAsyncContextManager[Ingest]:
        """Take a whole blob in one request (POST with digest)."""
        ...

    async def mount(self, who: Pusher, digest: Digest, source: RepositoryName | None) -> bool:
        """Link a blob that another repository (any readable one where None) has. False: begin an upload instead."""
        ...


class ManifestPushes(Protocol):
    """Manifests, and the tags that point at them."""

    async def put_manifest(
        self,
        who: Pusher,
        manifest: Manifest,
        tags: Sequence[Tag],
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Pushed:
        """Store, link, tag. `ManifestBlobUnknown` names what it lacks; a missing subject is fine. `Conflict` where
        what a tag points at (without tags: the manifest, where it is here already) is none of `if_match` or one of
        `if_none_match` (entity tags, digests in quotes, or `*`: anything), or a tag is immutable."""
        ...


class Deletes(Protocol):
    """What can be taken out of a repository."""

    async def delete_tag(self, who: Pusher, tag: Tag, if_match: str | None = None) -> None:
        """Take out the tag alone. `ManifestUnknown`; `Conflict` where it points at none of `if_match`, or must not
        move."""
        ...

    async def delete_manifest(self, who: Pusher, digest: Digest) -> None:
        """Take it out, and every tag that points at it. `Unsupported` where another tag needs it."""
        ...

    async def delete_blob(self, who: Pusher, digest: Digest) -> None:
        """Unlink it from this repository. `Unsupported` where a tag needs it."""
        ...


class Pushes(UploadSessions, BlobPushes, ManifestPushes, Deletes, Protocol):
    """The write side of one repository (distribution-spec, "Pushing"). Every method takes the caller."""
