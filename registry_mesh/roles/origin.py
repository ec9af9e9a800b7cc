"""The origin: stratum 0, the registry that is pushed to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Set

from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.ports.repositories import Repository

OpenRepository = Callable[[RegistryName, RepositoryName], Repository]
ListRepositories = Callable[[str], AsyncIterator[RepositoryName]]
"""Those after a name."""


class Origin:
    """Implements `role.Role`: one registry, all of whose repositories lie in the origin's own store."""

    name = "origin"

    def __init__(
        self,
        registry: RegistryName | None,
        open_repository: OpenRepository,
        list_repositories: ListRepositories,
    ) -> None:
        """Without a name of its own (`registry` None) it answers to any: the caller has chosen it already."""
        self._registry = registry
        self._open = open_repository
        self._list = list_repositories

    def __repr__(self) -> str:
        return f"<origin of {self._registry or 'any registry'}>"

    @property
    def registries(self) -> Set[str]:
        """The one registry that the origin was told to be, or none."""
        return frozenset({self._registry} if self._registry else ())

    def repository(self, registry: str | None, name: RepositoryName) -> Repository:
        """The repository, pushes included; `NameUnknown` for another registry's."""
        self._demand(registry)
        return self._open(RegistryName(self._registry or registry or "origin"), name)

    def repositories(self, registry: RegistryName | None, last: str = "") -> AsyncIterator[RepositoryName]:
        """The names of repositories after `last`, in ASCII order."""
        self._demand(registry)
        return self._list(last)

    def _demand(self, registry: str | None) -> None:
        if registry is not None and self._registry is not None and registry != self._registry:
            raise NameUnknown("this origin does not hold that registry", registry=registry[:300])
