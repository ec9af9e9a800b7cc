"""The origin: stratum 0, the registry that is pushed to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Set

from registry_mesh.content.ports import Repository
from registry_mesh.oci.errors import NameUnknown
from registry_mesh.oci.reference import RegistryName, RepositoryName

OpenRepository = Callable[[RegistryName, RepositoryName], Repository]
ListRepositories = Callable[[], AsyncIterator[RepositoryName]]


class Origin:
    """Implements `role.Role`: one registry, all of whose repositories lie in the origin's own store."""

    name = "origin"

    def __init__(
        self, registry: RegistryName, open_repository: OpenRepository, list_repositories: ListRepositories
    ) -> None:
        self._registry = registry
        self._open = open_repository
        self._list = list_repositories

    def __repr__(self) -> str:
        return f"<origin of {self._registry}>"

    @property
    def registries(self) -> Set[str]:
        return frozenset({self._registry})

    def repository(self, registry: str | None, name: RepositoryName) -> Repository:
        self._demand(registry)
        return self._open(self._registry, name)

    def repositories(self, registry: RegistryName | None) -> AsyncIterator[RepositoryName]:
        self._demand(registry)
        return self._list()

    def _demand(self, registry: str | None) -> None:
        if registry is not None and registry != self._registry:
            raise NameUnknown("this origin does not hold that registry", registry=registry[:300])
