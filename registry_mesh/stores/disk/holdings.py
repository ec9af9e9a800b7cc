"""What a disk store holds, looked at and touched by a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import suppress

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.holdings import Holdings, StoreAccount, Uses
from registry_mesh.stores.disk import hold_file
from registry_mesh.stores.disk.index import accounts, uses
from registry_mesh.stores.disk.index.database import key_of
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.disk.part_files import open_part
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload


class DiskHoldings:
    """Implements `Holdings`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def held(self, digest: Digest) -> int:
        """See `Holdings.held`."""
        with translated("looking at a blob"):
            return await offload(self._held, digest)

    def _held(self, digest: Digest) -> int:
        looks = (self._whole, self._part, self._whole)  # the part may become whole after the first look
        return next((size for look in looks if (size := look(digest)) is not None), 0)

    def _whole(self, digest: Digest) -> int | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            return self._shelf.layout.blob(digest).stat().st_size
        return None

    def _part(self, digest: Digest) -> int | None:
        with suppress(FileNotFoundError, NotADirectoryError, hold_file.HoldFileInvalid):
            table = self._shelf.layout.part_hold(digest).read_bytes()
            return min(hold_file.held_chunks(table) * CHUNK, hold_file.read_size(table))
        return None

    async def used(self, digests: Collection[Digest]) -> Uses:
        """See `Holdings.used`."""
        return await offload(uses.last, self._shelf.index, digests)

    async def drop(self, digest: Digest) -> int:
        """See `Holdings.drop`."""
        with translated("forgetting a blob"):
            return await offload(self._drop, digest)

    def _drop(self, digest: Digest) -> int:
        with self._shelf.alone(digest):
            freed = self._shelf.remove_alone(digest)
            return freed if freed is not None else self._drop_part(digest)

    def _drop_part(self, digest: Digest) -> int:
        files = open_part(self._shelf, digest, None)
        if files is None:
            return 0
        try:
            if not try_flock(files.fd, shared=False):
                return 0
            freed = files.reserved()
            files.drop()
            return freed
        finally:
            files.close()

    async def account(self) -> StoreAccount:
        """See `Holdings.account`."""
        return await offload(accounts.account, self._shelf.index)

    async def spare(self, digests: Collection[Digest]) -> None:
        """See `Holdings.spare`. A fault of the index is none of the caller's: it is said again."""
        keys = [(key_of(digest),) for digest in digests]

        def change(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM pins")
            db.executemany("INSERT OR IGNORE INTO pins VALUES (?)", keys)

        await offload(self._shelf.index.change, change)


_: type[Holdings] = DiskHoldings
