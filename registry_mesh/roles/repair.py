"""How a node brings anew what has rotted: a site asks as a client would, a replica takes it whole from its parents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.cache import KnownPlaces
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.parents import ParentRegistry
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.of_replica import registry_component
from registry_mesh.repositories.verify import Parents, refetch


class SiteRepair:
    """Reads what is missing of a blob by way of the site, which fetches it then. Implements `content.scrub.Repair`."""

    def __init__(self, store: KnownPlaces, repository: Callable[[Place], Repository]) -> None:
        self._store = store
        self._repository = repository

    async def __call__(self, digest: Digest, spans: Sequence[Span]) -> bool:
        """Whether all of the spans came."""
        place = await self._store.place_of(digest)
        if place is None:  # nobody knows who has it: the next to ask for it will say
            return False
        try:
            await _read(self._repository(place), digest, spans)
        except (Failure, Refusal):
            return False
        return True


class ReplicaRepair:
    """Fetches a whole blob from a parent of a repository that names it. Implements `content.scrub.Repair`."""

    def __init__(self, repositories: Repositories, parents: Parents) -> None:
        self._repositories = repositories
        self._parents = parents

    async def __call__(self, digest: Digest, spans: Sequence[Span]) -> bool:
        """Whether it came."""
        async for name in self._naming(digest):
            for parent in self._parents(name):
                try:
                    await refetch(self._repositories.blobs, parent, digest)
                except (Failure, Refusal):
                    continue
                return True
        return False

    async def _naming(self, digest: Digest) -> AsyncIterator[RepositoryName]:
        async for name in self._repositories.names():
            if await self._repositories.parts(name).have(digest):
                yield name


class ParentsOfRepositories:
    """Implements `repositories.verify.Parents`: an origin's repositories bear their own names, a replica's
    (`prefixed`) those of their registries before them."""

    def __init__(
        self, groups: Mapping[RegistryName, Sequence[Sequence[ParentRegistry]]], *, prefixed: bool
    ) -> None:
        self._groups = groups
        self._prefixed = prefixed

    def __call__(self, name: RepositoryName) -> Sequence[Repository]:
        """The repository as each parent has it, in order."""
        found = []
        for registry, groups in self._groups.items():
            prefix = f"{registry_component(registry)}/" if self._prefixed else ""
            if name.startswith(prefix):
                there = RepositoryName(name.removeprefix(prefix))
                found += [parent.repository(there) for group in groups for parent in group]
        return found


async def _read(repository: Repository, digest: Digest, spans: Sequence[Span]) -> None:
    try:
        for span in spans:
            async with repository.blobs.open(digest, span) as reading:
                async for _ in reading.pieces():
                    pass  # that it comes is enough
    except (Failure, Refusal):
        await repository.manifests.manifest(digest)  # registries serve these at their own place only
