"""Records: small named documents, on a disk, in a bucket or in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class KeyedRecords(Protocol):
    """Small documents, each under its key."""

    async def get(self, key: str) -> bytes | None:
        """Return the document; None where there is none."""
        ...

    async def put(self, key: str, data: bytes) -> None:
        """Create or replace, atomically."""
        ...

    async def create(self, key: str, data: bytes) -> bool:
        """Create only: False where the key exists. One winner among all processes and hosts."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete those that are there."""
        ...


class RecordKeys(Protocol):
    """Which keys there are."""

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        """Return the distinct next components below `prefix` (which ends in `/` or is empty), in ASCII order: those
        after `after`, at most `limit` of them."""
        ...

    def walk(self, prefix: str, before: float | None = None) -> AsyncIterator[str]:
        """Give every key below `prefix`, in no promised order; of those alone that were last written before `before`,
        in seconds since the epoch."""
        ...


class Records(KeyedRecords, RecordKeys, Protocol):
    """Small named documents on a disk, in a bucket or in memory. Keys are path-like: `a/b/c`, no empty, `.` or
    `..` component. What one process wrote every other sees at once."""


def components(key: str) -> list[str]:
    """Return the components of a record's key. `ValueError` where it is no key."""
    parts = key.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError(f"not a record's key: {key!r}")
    return parts
