"""What a copy is made of: blobs, manifests and tags by their keys, and the tags that are wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from registry_mesh.content.snapshot.copying.copy_blob import Moved
from registry_mesh.content.snapshot.copying.flow import Flow
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.content.snapshot.finding.graph import Graph
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.replication.rules import Platforms
from registry_mesh.replication.terms import Data


@dataclass(frozen=True, slots=True)
class BlobKey:
    """A blob as a manifest describes it: one that has the size wrong fails alone."""

    digest: Digest
    size: int

    @classmethod
    def of(cls, blob: Descriptor) -> BlobKey:
        """The key of the blob that a descriptor states."""
        return cls(blob.digest, blob.size)

    def __str__(self) -> str:
        return f"blob {self.digest}"


@dataclass(frozen=True, slots=True)
class ManifestKey:
    """A manifest to be copied: its place and digest."""

    place: Place
    digest: Digest

    def __str__(self) -> str:
        return f"{self.place}@{self.digest}"


@dataclass(frozen=True, slots=True)
class PushKey:
    """A blob to be pushed out to a place."""

    place: Place
    blob: BlobKey

    def __str__(self) -> str:
        return f"{self.blob} to {self.place}"


def blob_of(key: Hashable) -> BlobKey:
    """The blob of a job that moves bytes, in or out."""
    found = key.blob if isinstance(key, PushKey) else key
    assert isinstance(found, BlobKey), "nothing else moves bytes"
    return found


@dataclass(frozen=True, slots=True)
class TagKey:
    """A tag to be set, by its place and name at the source; `to` where it is another here."""

    place: Place
    tag: Tag
    to: Place | None = None

    @property
    def name(self) -> str:
        """As its source calls it."""
        mark = "" if self.tag.startswith("@") else ":"
        return f"{self.place}{mark}{self.tag}"

    def __str__(self) -> str:
        return self.name + (f" as {self.to}" if self.to is not None else "")


@dataclass(frozen=True, slots=True)
class TagCopy:
    """A tag to be switched once `graph` is here, after other tags (its companions) and what hangs beside it."""

    tag: Tag
    graph: Graph
    platforms: Platforms = None
    data: Data = Data.FULL
    after: frozenset[Tag] = frozenset()
    rank: int = 0
    """Of two, the bytes of the lower come first."""
    rules: tuple[str, ...] = ()
    """The names of those that take it."""
    flow: Flow | None = field(default=None, repr=False)
    """Whether its bytes may flow now, and how fast; None: always."""
    switched: Callable[[bool, bool], None] = field(default=lambda moved, whole: None, repr=False)
    """Told when it is complete, whether the tag moved for it, and whether all beside it is here too."""


Bring = Callable[[Offer, Descriptor, Moved], Awaitable[None]]
"""Brings one blob that is offered into the store, checked; `SourceLied`, `SourceUnavailable`, `BlobUnknown`, and what
the store raises. Nothing wrong stays."""
