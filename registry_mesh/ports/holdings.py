"""What a store holds, looked at and touched by a person."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from registry_mesh.oci.digest import Digest


class Holdings(Protocol):
    """Of a store on a disk, or behind a spool. `StoreBroken`."""

    async def held(self, digest: Digest) -> int:
        """Return the bytes of a blob that are here, whole or in part; 0 where none are."""
        ...

    async def drop(self, digest: Digest) -> int:
        """Forget a blob, whole or in part; the bytes freed, 0 where nothing is here or it is being filled."""
        ...

    async def spare(self, digests: Collection[Digest]) -> None:
        """Evict none of these from now on, and no others than before."""
        ...
