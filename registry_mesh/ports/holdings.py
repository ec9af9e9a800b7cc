"""What a store holds, looked at and touched by a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from registry_mesh.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Uses:
    """When blobs were last read by clients, or came in; in seconds since the epoch, to the minute."""

    began: float = 0.0
    """Since when that is noted; 0: it is not. What has no time in `last` was not used since."""
    last: Mapping[Digest, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreAccount:
    """What a disk's bytes are of, as its index knows it."""

    pinned: int = 0
    whole: int = 0
    """Of whole blobs that are not pinned."""
    part: int = 0
    evicted_idle: int = 0
    """Seconds for which what was last evicted had not been used, at least; 0: nothing was evicted."""


class Holdings(Protocol):
    """Of a store on a disk, or behind a spool. `StoreBroken`."""

    async def held(self, digest: Digest) -> int:
        """Return the bytes of a blob that are here, whole or in part; 0 where none are."""
        ...

    async def used(self, digests: Collection[Digest]) -> Uses:
        """Return when each of `digests` was used last."""
        ...

    async def drop(self, digest: Digest) -> int:
        """Forget a blob, whole or in part; the bytes freed, 0 where nothing is here or it is being filled."""
        ...

    async def account(self) -> StoreAccount:
        """Return what the bytes on this machine's disk are of. It reads all of the index: not for each moment."""
        ...

    async def spare(self, digests: Collection[Digest]) -> None:
        """Evict none of these from now on, and no others than before."""
        ...
