"""What one registry that is pushed to was seen to do: known to one process, and found out anew by the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName

_MOUNTS: Final = 100_000
"""Blobs of one registry of which it is known where they are."""


class Mounts:
    """In which repository of one registry a blob was seen, of the last that were seen."""

    def __init__(self, most: int = _MOUNTS) -> None:
        self._seen: LRUCache[Digest, RepositoryName] = LRUCache(most)

    def note(self, blob: Digest, name: RepositoryName) -> None:
        """The repository has it."""
        self._seen.setdefault(blob, name)

    def of(self, blob: Digest, name: RepositoryName) -> RepositoryName | None:
        """Another repository that has it."""
        found = self._seen.get(blob)
        return found if found != name else None


@dataclass(slots=True)
class Traits:
    """Of one registry."""

    mounts: Mounts = field(default_factory=Mounts)
    whole: bool = False
    """It refuses chunks, and takes a blob in one request (Google's)."""
    largest: int | None = None
    """Bytes of a request that it, or a proxy before it, took where it refused more; None: it refused none."""
    stale: bool = False
    """It names another end of an upload than that of the chunk that it took (Amazon's): it is not asked where an upload
    stands."""
