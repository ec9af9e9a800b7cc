"""The self-check of a node's store, with its parents to repair from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from registry_mesh.assembly.parents import Parents
from registry_mesh.assembly.repositories import open_repositories
from registry_mesh.assembly.storage import open_storage
from registry_mesh.config.schema import Config
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.of_replica import registry_component
from registry_mesh.repositories.verify import Progress, SelfCheck, no_parents


@asynccontextmanager
async def open_self_check(
    config: Config, *, repair: bool = False, progress: Progress = lambda _: None
) -> AsyncIterator[SelfCheck]:
    """`StoreBroken`, `NotBuilt`."""
    async with AsyncExitStack() as stack:
        storage = await open_storage(config)
        stack.push_async_callback(storage.close)
        asked = no_parents
        if repair:
            asked = Repairers(config, await stack.enter_async_context(Parents(config)))
        yield SelfCheck(open_repositories(config, storage), parents=asked, progress=progress)


class Repairers:
    """Implements `self_check.Parents`: an origin's repositories bear their own names, a replica's those of their
    registries before them."""

    def __init__(self, config: Config, parents: Parents) -> None:
        self._prefixed = config.role != "origin"
        self._parents = parents

    def __call__(self, name: RepositoryName) -> Sequence[Repository]:
        found = []
        for registry, groups in self._parents.groups.items():
            prefix = f"{registry_component(registry)}/" if self._prefixed else ""
            if name.startswith(prefix):
                there = RepositoryName(name.removeprefix(prefix))
                found += [parent.repository(there) for group in groups for parent in group]
        return found
