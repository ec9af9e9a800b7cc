"""Records in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence

from registry_mesh.ports.records import components


class MemoryRecords:
    """Implements `ports.records.Records`."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}
        self._written: dict[str, float] = {}

    async def get(self, key: str) -> bytes | None:
        """Return the record; None where there is none."""
        components(key)
        return self._documents.get(key)

    async def put(self, key: str, data: bytes) -> None:
        """Keep the record."""
        components(key)
        self._documents[key], self._written[key] = data, time.time()

    async def create(self, key: str, data: bytes) -> bool:
        """Keep the record where there is none; return whether it was kept."""
        components(key)
        if key in self._documents:
            return False
        await self.put(key, data)
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget the records that there are."""
        for key in keys:
            components(key)
            self._documents.pop(key, None)

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        """Return the names below `prefix`, in order."""
        found = {key[len(prefix) :].partition("/")[0] for key in self._below(prefix)}
        return sorted(name for name in found if name > after)[:limit]

    async def walk(self, prefix: str, before: float | None = None) -> AsyncIterator[str]:
        """Give every key below `prefix`, in order."""
        for key in list(self._below(prefix)):
            if before is None or self._written[key] < before:
                yield key

    def _below(self, prefix: str) -> Iterator[str]:
        if prefix and not prefix.endswith("/"):
            raise ValueError(f"a prefix ends in /: {prefix!r}")
        return (key for key in self._documents if key.startswith(prefix))
