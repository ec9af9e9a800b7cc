"""Room for bytes: reserved in the ledger before they are written, made by eviction where the store is a cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from registry_mesh.ports.failures import StoreFull
from registry_mesh.stores.disk.space.ledger import Ledger
from registry_mesh.stores.faults import FULL

TRIES: Final = 4
"""Evictions for one write to a full disk: others may take what is freed."""


T = TypeVar("T")


class RoomMaker(Protocol):
    """Makes room in a cache."""

    def __call__(self, wanted: int) -> bool:
        """Make room for `wanted` bytes within the limit; False where nothing could be freed."""
        ...

    def free(self, wanted: int) -> bool:
        """Free `wanted` bytes on the disk, whatever the limit; False where nothing could be freed."""
        ...


class Room:
    """Takes and gives back room. `evict` makes some when there is none; None where nothing may go."""

    def __init__(self, ledger: Ledger, evict: RoomMaker | None = None) -> None:
        self.ledger = ledger
        self.evict = evict

    def take(self, room: int) -> None:
        """Reserve; `StoreFull` where there is no room and none can be made. In a thread: it may evict."""
        if room <= 0:
            return
        limit = self.ledger.limit
        if limit is not None and (room > limit or not self.ledger.counted):
            raise StoreFull("not within the quota" if room > limit else "what is stored is being counted")
        while not self.ledger.reserve(room):
            if self.evict is None or not self.evict(room):
                raise StoreFull(f"{self.ledger.used} of {self.ledger.limit} bytes are used")

    def make(self, room: int) -> bool:
        """Evict until `room` more would be within the limit; False where nothing could be freed."""
        return self.evict is not None and self.evict(room)

    def on_disk(self, wanted: int, write: Callable[[], T]) -> T:
        """What `write` gives. Where the disk is full, whatever the ledger says, `wanted` bytes are evicted and it is
        called again: it must begin anew. In a thread."""
        for _ in range(TRIES):
            try:
                return write()
            except OSError as fault:
                if fault.errno not in FULL or self.evict is None or not self.evict.free(wanted):
                    raise
        return write()

    def demand(self, room: int) -> None:
        """`StoreFull` where `room` could not be taken now. Nothing is reserved; a cache evicts when it takes."""
        limit = self.ledger.limit
        if limit is None:
            return
        if room > limit:
            raise StoreFull(f"{room} bytes are not within the quota of {limit}")
        if self.evict is None and self.ledger.used + room > limit:
            raise StoreFull(f"{self.ledger.used} of {limit} bytes are used: {room} more do not fit")

    def give(self, room: int) -> None:
        """Give reserved bytes back."""
        self.ledger.release(room)


def demand_free(directory: Path, size: int) -> None:
    """`StoreFull` where the file system of `directory` has not `size` bytes left now."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if size > free:
        raise StoreFull(f"{size} bytes do not fit on the disk: {free} are free")
