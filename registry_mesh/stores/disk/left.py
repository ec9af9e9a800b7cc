"""What is left of a disk store that evicts nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from registry_mesh.oci.digest import ALGORITHMS, Digest
from registry_mesh.ports.room import StoreRoom
from registry_mesh.stores.disk.layout import HOLD, entries
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.disk.part_files import counted_of, open_part
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.space.share import file_system
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload


class DiskRoom:
    """Implements `StoreRoom`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def room(self) -> int:
        """See `StoreRoom.room`."""
        with translated("looking for room"):
            return await offload(self._room)

    def _room(self) -> int:
        ledger, free = self._shelf.room.ledger, file_system(self._shelf.layout.root).free
        left = free if ledger.limit is None else min(free, ledger.limit - ledger.used)
        return left + sum(counted_of(self._shelf, digest) for digest in self._parts())

    async def drop_parts(self, keep: Collection[Digest]) -> None:
        """See `StoreRoom.drop_parts`."""
        with translated("forgetting what is held in part"):
            await offload(self._drop_parts, keep)

    def _drop_parts(self, keep: Collection[Digest]) -> None:
        for digest in list(self._parts()):
            if digest not in keep:
                with self._shelf.alone(digest):
                    self._drop(digest)

    def _drop(self, digest: Digest) -> None:
        files = open_part(self._shelf, digest, None)
        if files is None:
            return
        try:
            if try_flock(files.fd, shared=False):
                files.drop()
        finally:
            files.close()

    def _parts(self) -> Iterator[Digest]:
        for algorithm in ALGORITHMS:
            for board in entries(self._shelf.layout.partial / algorithm):
                for entry in entries(Path(board.path)):
                    if entry.name.endswith(HOLD):
                        yield Digest(algorithm, entry.name.removesuffix(HOLD))


_: type[StoreRoom] = DiskRoom
