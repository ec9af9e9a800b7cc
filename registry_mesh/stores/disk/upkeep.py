"""What a disk store does beside serving: uses to the index, idle files closed, a lost index made anew, and
its own files found again when the disk went away and came back."""

from __future__ import annotations

import logging
from collections.abc import Set
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import Failure
from registry_mesh.stores.disk import rebuild
from registry_mesh.stores.disk.index import uses
from registry_mesh.stores.disk.open_files import OpenFiles
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.space.ledger import Ledger
from registry_mesh.stores.disk.space.overhead import Overhead

PERIOD: Final = 2.0
"""Seconds from one round to the next."""
NOTED: Final = 60.0
"""Seconds for which a blob whose use was noted is not noted again: what is hot costs the index little."""

_log = logging.getLogger(__name__)


class Upkeep:
    """Rounds of one process, in a thread."""

    def __init__(self, shelf: Shelf, overhead: Overhead | None = None) -> None:
        self._shelf = shelf
        self._overhead = overhead
        self._used: set[str] = set()
        self._noted: dict[str, float] | None = None
        """When uses were noted last; None: not by this process."""
        self.tidied = False

    def note_uses(self) -> None:
        """Write down from now on when blobs are used, for people: in a process that serves clients."""
        self._noted = {}

    def use(self, digest: Digest) -> None:
        """The blob is used now. An entry in a set: readers call it on every hit."""
        self._used.add(digest.hex)

    def flush(self) -> None:
        """Tell the index which blobs were used since the last time."""
        used, self._used = self._used, set()
        if used:
            self._shelf.index.touch([bytes.fromhex(hex) for hex in list(used)], self._shelf.turnovers())
            self._note(used)

    def _note(self, used: Set[str]) -> None:
        noted, now = self._noted, self._shelf.clock()
        if noted is None:
            return
        new = [hex for hex in used if noted.get(hex, 0.0) <= now - NOTED]
        if new:
            uses.note(self._shelf.index, map(bytes.fromhex, new), now)
            kept = {hex: at for hex, at in noted.items() if at > now - NOTED}
            self._noted = {**kept, **dict.fromkeys(new, now)}

    def round(self, files: OpenFiles) -> None:
        """Do once what is to be done now and then: close idle files, write uses down, make room, mend the index."""
        try:
            files.sweep()
            self._come_back()
            self.flush()
            if self._overhead is not None:
                self._keep_within(self._overhead)
            if self._shelf.index.broken:
                self._shelf.index.renew()
            if not self._shelf.index.fact(rebuild.BUILT):
                rebuild.rebuild(self._shelf)
            if not self.tidied:
                rebuild.tidy(self._shelf)
                self.tidied = True
        except (OSError, Failure) as fault:
            _log.warning("the store in %s needs attention: %s", self._shelf.layout.root, fault)

    def _keep_within(self, overhead: Overhead) -> None:
        """Know what may be taken, and give way where others took the disk: evict what is too much. An index that grew,
        or a count that is too high after a kill -9, takes nothing from anybody before room is wanted."""
        room = self._shelf.room
        used = room.ledger.used
        room.ledger.limit = overhead.limit(used)
        if self.tidied and room.ledger.counted and used > overhead.on_disk(used):
            room.make(0)

    def _come_back(self) -> None:
        """Where the directory was taken away, or another one mounted: begin again in what is there now."""
        ledger, path = self._shelf.room.ledger, self._shelf.layout.run / "ledger"
        if ledger.is_at(path):
            return
        for directory in self._shelf.layout.directories():
            self._shelf.fsync.make_directory(directory)
        # The old one stays open: threads may be about to count in it.
        self._shelf.room.ledger = Ledger(path, ledger.limit)
        self._shelf.index.renew()
        rebuild.recover(self._shelf)
        _log.warning("the store in %s was gone and is back", self._shelf.layout.root)
