"""Where a repository is: its registry and its name."""

from __future__ import annotations

from dataclasses import dataclass

from registry_mesh.oci.reference import RegistryName, RepositoryName


@dataclass(frozen=True, slots=True)
class Place:
    """A repository of a registry."""

    registry: RegistryName
    repository: RepositoryName

    @classmethod
    def parse(cls, text: str) -> Place:
        """What `str` made: a registry's name has no slash."""
        registry, _, repository = text.partition("/")
        return cls(RegistryName(registry), RepositoryName(repository))

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"

    def __lt__(self, other: Place) -> bool:
        """By name; of two of one name the one that is pushed to comes last."""
        return self._order < other._order

    @property
    def _order(self) -> tuple[str, str, bool]:
        return self.registry, self.repository, isinstance(self, Outward)


@dataclass(frozen=True, slots=True)
class Outward(Place):
    """A repository that is pushed to at a registry of its own: no other place is equal to it."""
