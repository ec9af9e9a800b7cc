"""What the edge asks of a node, whatever its role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Set
from typing import Protocol

from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.repositories import Repository


class Role(Protocol):
    """An origin, a replica or a site, ready to answer."""

    @property
    def name(self) -> str:
        """`origin`, `replica` or `site`."""
        ...

    @property
    def registries(self) -> Set[str]:
        """The registries that may be named by `ns=` or by path."""
        ...

    def repository(self, registry: str | None, name: RepositoryName) -> Repository:
        """The repository, whether it has anything or not; the default registry where `registry` is None.

        `NameUnknown` where the registry is not one of ours: never fetched.
        """
        ...

    def repositories(self, registry: RegistryName | None, last: str = "") -> AsyncIterator[RepositoryName]:
        """Repositories that have content here and come after `last`, in ASCII order."""
        ...
