"""Refusals, named by the distribution specification's error codes (spec.md, "Error Codes").

A refusal says that the request cannot be honoured as it stands. The edge holds the one table from
refusal to HTTP status; nothing here knows a status.
"""

from __future__ import annotations

import copy
from typing import ClassVar, Self


class Refusal(Exception):
    """A request that is refused. `code` is the specification's; `detail` goes to the client."""

    code: ClassVar[str] = "UNSUPPORTED"
    summary: ClassVar[str] = "the operation is unsupported"

    remembered: float | None = None
    """Seconds for which a cache goes on to refuse it so, without asking; None where it was not remembered."""

    def __init__(self, reason: str = "", **detail: object) -> None:
        super().__init__(reason or self.summary)
        self.detail = detail

    def again(self, remembered: float) -> Self:
        """The same refusal, from memory."""
        same = copy.copy(self)
        same.remembered = remembered
        return same

    @property
    def reason(self) -> str:
        """The sentence for the client."""
        return str(self.args[0])


class BlobUnknown(Refusal):
    """The repository has no such blob (404)."""

    code = "BLOB_UNKNOWN"
    summary = "blob unknown to registry"


class BlobUploadInvalid(Refusal):
    """The upload cannot go on as asked (400)."""

    code = "BLOB_UPLOAD_INVALID"
    summary = "blob upload invalid"


class BlobUploadUnknown(Refusal):
    """There is no such upload session for this repository and subject (404)."""

    code = "BLOB_UPLOAD_UNKNOWN"
    summary = "blob upload unknown to registry"


class RangeInvalid(Refusal):
    """An upload chunk that does not start where the last one ended (416)."""

    code = "BLOB_UPLOAD_INVALID"
    summary = "the chunk does not continue the upload"


class DigestInvalid(Refusal):
    """The digest is malformed, of an unsupported algorithm, or not the content's (400)."""

    code = "DIGEST_INVALID"
    summary = "provided digest did not match uploaded content"


class ManifestBlobUnknown(Refusal):
    """The manifest names blobs or manifests that the repository lacks; `detail` names them (400 or 404)."""

    code = "MANIFEST_BLOB_UNKNOWN"
    summary = "manifest references a manifest or blob unknown to registry"


class ManifestInvalid(Refusal):
    """The manifest, or the reference to it, breaks the specification (400)."""

    code = "MANIFEST_INVALID"
    summary = "manifest invalid"


class ManifestTooLarge(Refusal):
    """A manifest beyond the configured limit (413)."""

    code = "MANIFEST_INVALID"
    summary = "manifest is larger than this registry accepts"


class ManifestUnknown(Refusal):
    """The repository has no such manifest or tag (404)."""

    code = "MANIFEST_UNKNOWN"
    summary = "manifest unknown to registry"


class NameInvalid(Refusal):
    """The text is no repository name (400)."""

    code = "NAME_INVALID"
    summary = "invalid repository name"


class NameUnknown(Refusal):
    """There is no such repository or registry here (404)."""

    code = "NAME_UNKNOWN"
    summary = "repository name not known to registry"


class SizeInvalid(Refusal):
    """More or fewer bytes came than were announced (400)."""

    code = "SIZE_INVALID"
    summary = "provided length did not match content length"


class Unauthorized(Refusal):
    """The request needs credentials, or better ones (401)."""

    code = "UNAUTHORIZED"
    summary = "authentication required"


class Denied(Refusal):
    """The subject is known and may not do this (403)."""

    code = "DENIED"
    summary = "requested access to the resource is denied"


class Unsupported(Refusal):
    """This node does not offer the operation (405)."""

    code = "UNSUPPORTED"
    summary = "the operation is unsupported"


class RequestInvalid(Refusal):
    """A malformed parameter for which the specification names no code of its own (400)."""

    code = "UNSUPPORTED"
    summary = "the request is malformed"


class Conflict(Refusal):
    """A compare-and-set that lost, or an immutable tag (412 where a precondition was sent, else 409)."""

    code = "DENIED"
    summary = "the tag has moved"


class TooManyRequests(Refusal):
    """The subject asked too often (429)."""

    code = "TOOMANYREQUESTS"
    summary = "too many requests"
