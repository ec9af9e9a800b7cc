"""The ports of repositories and registries: what they are made of, and who offers or keeps them.

What may be raised is said in `ports.blobs`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.blobs import HELD, BlobSource, Provenance
from registry_mesh.ports.pushes import Pushes

EVERY: Final = 1 << 30
"""A limit of tags that no list reaches."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a tag points at."""

    descriptor: Descriptor
    provenance: Provenance = HELD
    manifest: Manifest | None = field(default=None, compare=False)
    """The manifest itself, where it came along."""
    change: int | None = field(default=None, compare=False)
    """The number of the change by which it came to point there, where that is counted."""


@dataclass(frozen=True, slots=True)
class TagPage:
    """Some of a repository's tags, sorted; `more` where others follow the last."""

    tags: tuple[Tag, ...]
    more: bool = False
    provenance: Provenance = HELD
    note: str = ""
    """Why there may be others, where the source's list did not end as lists do."""


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest whose bytes fit its digest."""

    manifest: Manifest
    provenance: Provenance = HELD
    left_out: frozenset[Digest] = frozenset()
    """What it names and need not be here, where rules left that out."""


class ManifestSource(Protocol):
    """Where manifests can be read from, whole."""

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """Verified against `digest`. `ManifestUnknown`."""
        ...


class TagSource(Protocol):
    """Where tags can be resolved."""

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """`ManifestUnknown` where the source knows that there is no such tag, `NameUnknown` no such repository.

        `known` is what the tag pointed at when somebody last heard. It changes nothing of the answer: a source may
        ask its own source whether that still holds, which costs less than being told anew.
        """
        ...

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """At most `limit` tags after `last`, in ASCII order; `EVERY` is a limit for the whole list. `NameUnknown`."""
        ...


@dataclass(frozen=True, slots=True)
class Referrers:
    """Manifests whose subject is some digest."""

    descriptors: tuple[Descriptor, ...] = ()
    provenance: Provenance = HELD
    checked: bool = False
    """Whether the source has read in each of them that it is its subject; else that is what a list says."""


class ReferrerSource(Protocol):
    """Tells what refers to a manifest."""

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        """All of them, unfiltered, by the API and by the tag schema together; empty where there are none.

        `tagged` False: the caller knows that there is no referrers tag, and it need not be asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of one registry, as some place offers it: the bundle that roles hand to the edge."""

    registry: RegistryName
    name: RepositoryName
    blobs: BlobSource
    manifests: ManifestSource
    tags: TagSource
    referrers: ReferrerSource
    pushes: Pushes | None = None
    """Where the place takes pushes; None at replicas and sites."""


class RegistrySource(Protocol):
    """A registry as a parent offers it, one repository or all."""

    def repository(self, name: RepositoryName) -> Repository:
        """The repository, whether there is one or not."""
        ...

    def repositories(self) -> AsyncIterator[RepositoryName]:
        """All that the registry lists. `Unsupported` or `SourceDenied` where it does not tell."""
        ...


class KeptTags(Protocol):
    """One repository whose tags can be taken out by rules."""

    @property
    def kept(self) -> Repository:
        """What is here, and no more."""
        ...

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """Delete the tag, where it points at `target`, and has done so since the `change` of that number, if one is
        given; gives whether it was. `because` goes into its history, from which it can be brought back."""
        ...


class TagStore(Protocol):
    """Where repositories are held whose tags rules take out."""

    def repository(self, registry: RegistryName, name: RepositoryName) -> KeptTags:
        """The repository, whether anything is in it yet or not."""
        ...

    def repositories(self, registry: RegistryName, last: str = "") -> AsyncIterator[RepositoryName]:
        """Those that hold anything and come after `last`, in ASCII order."""
        ...


class KeptPins(Protocol):
    """The manifests of a repository that are kept though no tag points at them."""

    async def hold(self, digest: Digest) -> bool:
        """Keep a manifest that was put; gives whether that is new."""
        ...

    async def unhold(self, digest: Digest) -> None:
        """Keep it for itself no longer: the collection takes it, where nothing else refers to it."""
        ...

    async def pinned(self) -> Sequence[Digest]:
        """What is kept for itself."""
        ...


class KeptRepository(KeptTags, KeptPins, Protocol):
    """One repository as a store has it, and the way to bring things in. Nobody pushes here: what is put has been
    verified, and its parts were put before it. Putting what is there already is fine."""

    async def link(self, blob: Digest) -> None:
        """The blob, which the store has, belongs to this repository."""
        ...

    async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
        """Durable, readable by digest, and listed among the referrers of its subject. `left_out` of what it names need
        not be here: rules do not want it."""
        ...

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        """Point the tag at a manifest that was put; `source` goes into its history."""
        ...


class RepositoryStore(Protocol):
    """Where repositories of several registries are held."""

    def repository(self, registry: RegistryName, name: RepositoryName) -> KeptRepository:
        """The repository, whether anything is in it yet or not."""
        ...

    def repositories(self, registry: RegistryName, last: str = "") -> AsyncIterator[RepositoryName]:
        """Those that hold anything and come after `last`, in ASCII order."""
        ...

    async def let_go(
        self, registry: RegistryName, denied: Callable[[RepositoryName, Digest], bool]
    ) -> Sequence[tuple[RepositoryName, Digest]]:
        """Hold no longer the `denied` ones of what is kept without a tag; gives them."""
        ...
