"""Blobs that passed through and were not kept, for no store of this size can hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.place import Place

MOST: Final = 64
"""Blobs that are told apart between two looks; of more nothing is told."""


@dataclass(frozen=True, slots=True)
class PassedBlob:
    """A blob that `times` readers were given past the store."""

    digest: Digest
    place: Place | None
    size: int
    times: int = 1


class UnkeptBlobs:
    """Of a process, until somebody takes it down. `limit`: bytes that the store may hold; None: no bound."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._passed: dict[Digest, PassedBlob] = {}

    def note(self, digest: Digest, place: Place | None, size: int) -> None:
        """A reader is given a blob past the store, for which there was no room. What fits at another time is no
        matter of the store's size."""
        known = self._passed.get(digest)
        if known is not None:
            self._passed[digest] = replace(known, times=known.times + 1)
        elif self.limit is not None and size > self.limit and len(self._passed) < MOST:
            self._passed[digest] = PassedBlob(digest, place, size)

    def take(self) -> list[PassedBlob]:
        """What passed since this was asked last."""
        passed = list(self._passed.values())
        self._passed.clear()
        return passed
