"""Records: small named documents, on a disk, in a bucket or in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class Records(Protocol):
    """Small named documents on a disk, in a bucket or in memory. Keys are path-like: `a/b/c`, no empty, `.` or
    `..` component. What one process wrote every other sees at once."""

    async def get(self, key: str) -> bytes | None: ...
    async def put(self, key: str, data: bytes) -> None:
        """Create or replace, atomically."""
        ...

    async def create(self, key: str, data: bytes) -> bool:
        """Create-only: False where the key exists. One winner among all processes and hosts."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Those that are there."""
        ...

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        """The distinct next components below `prefix` (which ends in `/` or is empty), in ASCII order: those after
        `after`, at most `limit` of them."""
        ...

    def walk(self, prefix: str) -> AsyncIterator[str]:
        """Every key below `prefix`, in no promised order."""
        ...


def components(key: str) -> list[str]:
    """The components of a record's key. `ValueError` where it is no key."""
    parts = key.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError(f"not a record's key: {key!r}")
    return parts
