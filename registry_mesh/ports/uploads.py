"""Upload sessions: bytes of a blob that come in several requests, perhaps to several processes."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import BlobUploadUnknown, RangeInvalid
from registry_mesh.ports.blobs import Ingest
from registry_mesh.ports.pushes import Upload

EXPIRY: Final = 24 * 3600.0
"""Seconds after its last byte until a session is forgotten."""

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Za-z0-9_-]{32}")
"""A session's id; the second form is that of sessions begun by earlier versions."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a session belongs to: to anybody else, and for any other repository, it does not exist."""

    repository: RepositoryName
    subject: str


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A session that is not over, and how many bytes it has."""

    id: str
    repository: RepositoryName
    size: int


class Appending(Ingest, Protocol):
    """A session that is being gone on with."""

    @property
    def kept(self) -> int:
        """Bytes that it has even if this process dies now: `Uploads.status` would say so."""
        ...


class UnfinishedUploads(Protocol):
    """What uploads hold that are not over."""

    def unfinished(self) -> AsyncIterator[OpenUpload]:
        """Every session that is neither over nor expired, whoever's it is."""
        ...


class Uploads(UnfinishedUploads, Protocol):
    """The sessions of one store. Methods raise `BlobUploadUnknown` where the session is not the owner's."""

    async def begin(self, owner: Owner, algorithm: str, whole: int | None = None) -> Upload:
        """A new session whose blob is hashed by `algorithm`. `DigestInvalid` where that is unknown. `whole`: bytes of
        the blob, where they are known; `StoreFull` where the store takes none so large."""
        ...

    async def status(self, owner: Owner, id: str) -> Upload:
        """Where it stands: what a client may rely on even if this process dies now."""
        ...

    def append(
        self, owner: Owner, id: str, start: int | None, size: int | None = None
    ) -> AbstractAsyncContextManager[Appending]:
        """Go on at `start` (None: where it stands; `RangeInvalid` elsewhere). Leaving without commit keeps what
        came; commit, fitting or not, ends the session. `BlobUploadInvalid` while another append runs. `size`: bytes
        that are to come now, where that is known; `StoreFull` before any is taken where they do not fit."""
        ...

    async def cancel(self, owner: Owner, id: str) -> None:
        """Forget the session and its bytes. `BlobUploadUnknown`."""
        ...

    async def sweep(self) -> int:
        """Forget expired sessions; gives how many."""
        ...


def new_id() -> str:
    """A UUID (RFC 9562, version 4), as the specification wants it in the Location: 122 random bits."""
    return str(uuid.uuid4())


def demand_id(id: str) -> str:
    """`id`, if it can be one at all (it becomes part of a path)."""
    if not _ID.fullmatch(id):
        raise BlobUploadUnknown(upload=id[:64])
    return id


def demand_start(start: int | None, offset: int) -> None:
    """`RangeInvalid` where a chunk does not go on at `offset`."""
    if start is not None and start != offset:
        raise RangeInvalid("the upload stands elsewhere", offset=offset, given=start)
