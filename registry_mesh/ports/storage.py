"""Storage: all that a node needs of the place where it keeps things, as one value.

Each kind of store makes it in one place, in its own room. What a kind lacks is None here, so that nothing has to ask
a store what it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.holdings import Holdings
from registry_mesh.ports.inspection import Inspectable
from registry_mesh.ports.records import Records
from registry_mesh.ports.room import StoreRoom
from registry_mesh.ports.shared import SharedStore
from registry_mesh.ports.uploads import Uploads

RemoveMany = Callable[[Sequence[Digest]], Awaitable[None]]
"""Forgets those blobs that are there, in batches."""

Alone = Callable[[str, Callable[[int | None], None]], AbstractAsyncContextManager[None]]
"""Waits until no other process of this machine does what the word stands for. The callable is told once, with the id
of the process that does where it is known, if that takes time."""


def with_others(what: str, busy: Callable[[int | None], None]) -> AbstractAsyncContextManager[None]:
    """For a kind of store that has no disk to keep a lock on."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class DiskCounts:
    """What happened since this process opened the store."""

    rotten: int
    evictions: int
    evicted_bytes: int
    refetched_bytes: int = 0
    """Of blobs that were evicted within a week before, and are whole again."""


class LocalDisk(Protocol):
    """What of a store lies on this machine's disk."""

    @property
    def used(self) -> int:
        """Bytes that its files take, in all processes."""
        ...

    @property
    def counts(self) -> DiskCounts:
        """What the disk has done so far, for metrics."""
        ...

    @property
    def inspection(self) -> Inspectable:
        """What reads the held blobs again in search of rot."""
        ...

    @property
    def records(self) -> Records:
        """The small documents beside the blobs."""
        ...

    async def try_writing(self) -> None:
        """`StoreFull` or `StoreBroken` where a page cannot be written."""
        ...


async def nothing() -> None:
    """For a kind of store that needs no tidying."""


def unnoted() -> None:
    """For a kind of store that does not know when something is used."""


@dataclass(frozen=True, slots=True)
class Storage:
    """An open store. `close` it at the end."""

    kind: str
    """As operators are told: `disk`, `s3`."""
    blobs: BlobStore
    records: Records
    close: Callable[[], Awaitable[None]]
    uploads: Uploads | None = None
    """Where an origin keeps uploads under way; None for a cache."""
    cache: CacheStore | None = None
    """`blobs`, where blobs can be held in part; None where they are kept as a whole only."""
    shared: SharedStore | None = None
    """`blobs`, where other sites share them."""
    disk: LocalDisk | None = None
    """What of it lies on this machine's disk."""
    records_are_near: bool = True
    """Whether a record is written without a request to another machine."""
    beyond: Inspectable | None = None
    """What reads again, in search of rot, what of it lies elsewhere than on this machine's disk."""
    holdings: Holdings | None = None
    """What is held, blob by blob; None where that cannot be told."""
    room: StoreRoom | None = None
    """What is left, where nothing is evicted and there is a bound; None where it cannot be told."""
    quota: int | None = None
    """Bytes that may be stored on this machine's disk; None: no bound."""
    alone: Alone = with_others
    redirect_from: int | None = None
    """Bytes from which on clients are sent to the store itself; None: never."""
    remove_many: RemoveMany | None = None
    """None where blobs are removed one by one."""
    try_reaching: Callable[[], Awaitable[None]] = nothing
    """Raises `StoreBroken` where a bucket does not answer in time."""
    note_uses: Callable[[], None] = unnoted
    """Has the store write down when blobs are used: for a process that serves clients, see `Holdings.used`."""
    tidy: Callable[[], Awaitable[None]] = nothing
    """What is to be done now and then, by one process of a node: forgets what died on its way."""
