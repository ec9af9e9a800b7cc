"""The port of registries that are pushed to: others' registries, which keep what rules send out to them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.repositories import KeptRepository


class PushedRepository(KeptRepository, Protocol):
    """One repository there. What `kept` tells is asked of the registry itself. `untag` deletes as little as that can,
    and raises `SourceRefused` where it would be more than the tag, or where the registry deletes nothing."""

    async def has(self, blob: Descriptor) -> bool:
        """Whether the repository has the blob."""
        ...

    async def push(self, blob: Descriptor, source: BlobSource, moved: Callable[[int], None]) -> None:
        """Make the blob one of the repository: as it is there already, or by mounting it from another repository, or by
        sending the bytes that `source` has. `moved` is told how many were sent."""
        ...

    def losing(self, tags: Collection[Tag]) -> PushedRepository:
        """The same, where these tags are all to be deleted: none of them keeps a manifest from that."""
        ...


class OutwardRegistries(Protocol):
    """The registries that may be pushed to."""

    def repository(self, registry: RegistryName, name: RepositoryName) -> PushedRepository:
        """The repository, whether there is one or not. `KeyError` where the registry is not pushed to."""
        ...
