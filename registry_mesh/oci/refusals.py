"""Refusals, named by the distribution specification's error codes (spec.md, "Error Codes").

A refusal says that the request cannot be honoured as it stands. The edge holds the one table from
refusal to HTTP status; nothing here knows a status.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A request that is refused. `code` is the specification's; `detail` goes to the client."""

    code: ClassVar[str] = "UNSUPPORTED"
    summary: ClassVar[str] = "the operation is unsupported"

    def __init__(self, reason: str = "", **detail: object) -> None:
        super().__init__(reason or self.summary)
        self.detail = detail

    @property
    def reason(self) -> str:
        return str(self.args[0])


class BlobUnknown(Refusal):
    code = "BLOB_UNKNOWN"
    summary = "blob unknown to registry"


class BlobUploadInvalid(Refusal):
    code = "BLOB_UPLOAD_INVALID"
    summary = "blob upload invalid"


class BlobUploadUnknown(Refusal):
    code = "BLOB_UPLOAD_UNKNOWN"
    summary = "blob upload unknown to registry"


class RangeInvalid(Refusal):
    """An upload chunk that does not start where the last one ended (416)."""

    code = "BLOB_UPLOAD_INVALID"
    summary = "the chunk does not continue the upload"


class DigestInvalid(Refusal):
    code = "DIGEST_INVALID"
    summary = "provided digest did not match uploaded content"


class ManifestBlobUnknown(Refusal):
    code = "MANIFEST_BLOB_UNKNOWN"
    summary = "manifest references a manifest or blob unknown to registry"


class ManifestInvalid(Refusal):
    code = "MANIFEST_INVALID"
    summary = "manifest invalid"


class ManifestTooLarge(Refusal):
    """A manifest beyond the configured limit (413)."""

    code = "MANIFEST_INVALID"
    summary = "manifest is larger than this registry accepts"


class ManifestUnknown(Refusal):
    code = "MANIFEST_UNKNOWN"
    summary = "manifest unknown to registry"


class NameInvalid(Refusal):
    code = "NAME_INVALID"
    summary = "invalid repository name"


class NameUnknown(Refusal):
    code = "NAME_UNKNOWN"
    summary = "repository name not known to registry"


class SizeInvalid(Refusal):
    code = "SIZE_INVALID"
    summary = "provided length did not match content length"


class Unauthorized(Refusal):
    code = "UNAUTHORIZED"
    summary = "authentication required"


class Denied(Refusal):
    code = "DENIED"
    summary = "requested access to the resource is denied"


class Unsupported(Refusal):
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
    code = "TOOMANYREQUESTS"
    summary = "too many requests"
