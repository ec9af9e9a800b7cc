"""What a bucket tells of its objects and of multipart uploads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing; `key` is without the settings' prefix, `modified` in seconds since the epoch."""

    key: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """A multipart upload that was begun and has not ended."""

    key: str
    upload: str
    begun: float


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """Part of a listing: objects and, where a delimiter was given, the prefixes up to it."""

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    next: str | None
