"""The room that a store has for what a replica is to bring."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from registry_mesh.oci.digest import Digest


class StoreRoom(Protocol):
    """Of a store that evicts nothing."""

    async def room(self) -> int:
        """Bytes that blobs may still take: within the quota and on the disk, with what blobs in part take now.
        `StoreBroken`."""
        ...

    async def drop_parts(self, keep: Collection[Digest]) -> None:
        """Forget what is held in part and not open, but for `keep`. `StoreBroken`."""
        ...
