"""The replica: stratum 1, serves what its rules brought, whole and whatever happens to its source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set

from registry_mesh.content.nest.fall_through import FallThrough
from registry_mesh.content.nest.followed_tags import FollowedTags
from registry_mesh.oci.reference import RegistryName, RepositoryName, full_name
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.oci.registries import RegistryNames
from registry_mesh.ports.repositories import Repository, RepositoryStore

Beyond = Callable[[RegistryName, RepositoryName], Repository]
"""Where what is not held may be fetched from."""


class Replica:
    """Implements `role.Role`. Reads its store at every question: what a snapshot switches is served at once.

    `beyond` None refuses what is not held.
    """

    name = "replica"

    def __init__(
        self,
        store: RepositoryStore,
        registries: Sequence[RegistryName],
        *,
        default: RegistryName | None = None,
        beyond: Beyond | None = None,
        aliases: Mapping[RegistryName, RegistryName] | None = None,
        followed: FollowedTags | None = None,
    ) -> None:
        """`aliases`: other names of registries. `followed`: which tags are still followed; None: all."""
        self._store = store
        self._followed = followed
        self._registries = tuple(registries)
        self._names = RegistryNames(registries, aliases)
        self._default = default or (self._registries[0] if len(self._registries) == 1 else None)
        self._beyond = beyond

    def __repr__(self) -> str:
        return f"<replica of {', '.join(self._registries)}>"

    @property
    def registries(self) -> Set[str]:
        """The registries that rules bring here."""
        return self._names

    def repository(self, registry: str | None, name: RepositoryName) -> Repository:
        """The repository as it is held, falling through to parents where that is configured."""
        known = self._known(registry)
        name = full_name(known, name)
        held = self._store.repository(known, name).kept
        if self._followed is not None:
            held = self._followed.of(held)
        if self._beyond is None:
            return held
        return FallThrough(held, self._beyond(known, name)).repository()

    def repositories(self, registry: RegistryName | None, last: str = "") -> AsyncIterator[RepositoryName]:
        """The names of repositories held that come after `last`, in ASCII order."""
        return self._store.repositories(self._known(registry), last)

    def _known(self, registry: str | None) -> RegistryName:
        known = self._names.find(registry) if registry is not None else self._default
        if known is None or known not in self._registries:
            raise NameUnknown("this replica does not hold that registry", registry=(registry or "")[:300])
        return known
