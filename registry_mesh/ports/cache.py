"""A store that holds blobs in part, and what it remembers of them for a cache."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.partial import Hold
from registry_mesh.ports.place import Place


@dataclass(frozen=True, slots=True)
class SaidSize:
    """That `manifest` names a blob with `size` bytes, which may be true."""

    size: int
    manifest: Digest


class KnownSizes(Protocol):
    """What is known of a blob's size without asking anybody."""

    async def held_size(self, digest: Digest) -> int | None:
        """Return the bytes of a blob that is held, whole or in part; None where nothing is. Of one in part it is what a
        source said, and the digest has the last word. Never what a manifest said. `StoreBroken`."""
        ...

    async def said_size(self, digest: Digest) -> SaidSize | None:
        """Return what a manifest said last, to be compared with what is known; None where none did. `StoreBroken`."""
        ...


class PartialBlobs(Protocol):
    """Where blobs can be held in part."""

    def hold(self, digest: Digest, size: int) -> AbstractAsyncContextManager[Hold]:
        """Give the partial blob, made where there is none. `StoreFull`, `StoreBroken`."""
        ...


class Locks(Protocol):
    """Work on a blob that one process does at a time."""

    def lock(self, digest: Digest, purpose: str) -> AbstractAsyncContextManager[bool]:
        """Try to be the one among all processes that does `purpose` for `digest`; False: another does."""
        ...


class SaidSizes(KnownSizes, Protocol):
    """What manifests say of the sizes of blobs: hearsay, kept apart from what is known."""

    async def note_sizes(self, manifest: Digest, descriptors: Sequence[Descriptor]) -> None:
        """Remember what a manifest says of the sizes of others. It is hearsay: its own digest proves its bytes, and not
        that they are true. Only `said_size` tells it again. `StoreBroken`."""
        ...

    async def forget_said(self, digest: Digest) -> None:
        """Forget what was said, which turned out wrong. `StoreBroken`."""
        ...


class KnownPlaces(Protocol):
    """Where a blob can be had again."""

    async def note_place(self, digest: Digest, place: Place) -> None:
        """Remember where the blob can be had again as long as it is held. Never fails: a store
        that does not know it any more asks nobody."""
        ...

    async def place_of(self, digest: Digest) -> Place | None:
        """Return what was noted last; None where nothing was."""
        ...


class NamedBlobs(Protocol):
    """Which repository names which digests."""

    async def note_names(self, place: Place, digests: Collection[Digest], *, whole: bool = False) -> None:
        """Remember that the repository at `place` names these. `whole`: nothing else is known of it elsewhere."""
        ...

    async def names(self, place: Place, digest: Digest) -> bool | None:
        """Return whether `place` names `digest`; None where not all that is known of the place was noted."""
        ...


class CacheStore(BlobStore, PartialBlobs, Locks, SaidSizes, KnownPlaces, NamedBlobs, Protocol):
    """A store that can also hold blobs in part. `open` gives complete blobs only."""
