"""An origin's repositories as rules see them: since when tags are what they are, out they go, and back they come."""

from __future__ import annotations

from collections.abc import AsyncIterator

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import Conflict, ManifestUnknown
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.tasks.together import ask_each

_WHO = "retention"


class DatedRepositories:
    """All repositories of an origin."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    def repository(self, registry: RegistryName, name: RepositoryName) -> DatedRepository:
        """The repository, whether anything is in it or not."""
        return DatedRepository(self._repositories, registry, name)

    def repositories(self, registry: RegistryName, last: str = "") -> AsyncIterator[RepositoryName]:
        """Those that exist and come after `last`, in ASCII order."""
        return self._repositories.names(last)


class DatedRepository:
    """One of them."""

    def __init__(self, repositories: Repositories, registry: RegistryName, name: RepositoryName) -> None:
        self.kept = repositories.repository(registry, name)
        self._parts = repositories.parts(name)
        self._history = repositories.history(name)

    async def set_at(self) -> dict[Tag, float]:
        """Its tags, and since when each points where it points, in seconds since the epoch."""
        return {tag: at for tag, (_, at) in (await self.values()).items()}

    async def values(self) -> dict[Tag, tuple[Digest, float]]:
        """Its tags, what each points at, and since when, in seconds since the epoch."""
        tags = await self._parts.tags.names()
        entries = zip(tags, await ask_each(self._parts.tags.current, tags), strict=True)
        return {
            tag: (entry.descriptor.digest, entry.at)
            for tag, entry in entries
            if entry is not None and entry.descriptor is not None
        }

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """Delete the tag, where it points at `target` and may move; gives whether it was."""
        assert self.kept.pushes is not None
        try:
            if change is not None and (await self.kept.tags.resolve(tag)).change != change:
                return False
            await self.kept.pushes.delete_tag(Pusher(f"{_WHO}: {because}"), tag, f'"{target}"')
        except (Conflict, ManifestUnknown):
            return False
        return True

    async def restore(self, tag: Tag, who: Pusher) -> Digest | None:
        """Point a deleted tag at what it was; None where it is not deleted, or its manifest is collected."""
        try:
            entries = await self._history.entries(tag)
            if entries[-1].descriptor is not None:
                return None
            return (await self._history.undo(who, tag)).digest
        except ManifestUnknown:
            return None
