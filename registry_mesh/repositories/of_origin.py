"""An origin's repositories over one store: documents in `ports.Records`, bytes in a `ports.BlobStore`.

The same on a disk, in a bucket and in memory; among many processes and hosts, because every change is either
idempotent or the creation of a numbered document (`numbered_log`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.documents import encode
from registry_mesh.ports.happenings import Happening, Outbox
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import Referrers, Repository, Resolved, TagPage
from registry_mesh.ports.storage import Alone, with_others
from registry_mesh.ports.uploads import Uploads
from registry_mesh.repositories.digest_life import Lifecycle
from registry_mesh.repositories.in_use import NamedBy
from registry_mesh.repositories.keys import RepositoryKeys
from registry_mesh.repositories.manifests import ManifestShelf
from registry_mesh.repositories.names import repository_names
from registry_mesh.repositories.parts import RepositoryParts
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.repositories.pushes import RepositoryPushes
from registry_mesh.repositories.quotas import Quotas
from registry_mesh.repositories.tag_history import TagHistory
from registry_mesh.repositories.tag_log import TagLogs

MayRead = Callable[[Pusher, RepositoryName], bool]
"""Whether somebody may read a repository: asked before a blob is mounted from wherever it is."""


def nobody(who: Pusher, name: RepositoryName) -> bool:
    """False: nobody may read any repository."""
    return False


class RepositoryTags:
    """TagSource of one repository."""

    def __init__(self, records: Records, keys: RepositoryKeys, logs: TagLogs) -> None:
        self._records = records
        self._keys = keys
        self._logs = logs

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """What the tag points at by its log. `known` is of no use here."""
        entry = await self._logs.current(tag)
        if entry is not None and entry.descriptor is not None:
            return Resolved(entry.descriptor, change=entry.number)
        await self._demand()
        raise ManifestUnknown("no such tag", tag=tag)

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """A page of tags; `NameUnknown` where the repository does not exist."""
        page = await self._logs.page(limit, last)
        if not page.tags:
            await self._demand()
        return page

    async def _demand(self) -> None:
        if await self._records.get(self._keys.existence) is None:
            raise NameUnknown(name=self._keys.name)


class RepositoryReferrers:
    """ReferrerSource of one repository."""

    def __init__(self, shelf: ManifestShelf) -> None:
        self._shelf = shelf

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        """The manifests whose own subject it is. What a referrers tag lists beside them refers to something else."""
        found = {each.digest: each for each in await self._shelf.referrers_of(subject)}
        return Referrers(tuple(found[digest] for digest in sorted(found)), checked=True)


class Repositories:
    """All repositories of one store."""

    def __init__(
        self,
        records: Records,
        blobs: BlobStore,
        uploads: Uploads,
        lifecycle: Lifecycle,
        policy: PushPolicy | None = None,
        may_read: MayRead = nobody,
        quotas: Mapping[str, int] | None = None,
        alone: Alone = with_others,
        outbox: Outbox | None = None,
    ) -> None:
        """`quotas`: bytes that projects may have, by their names. `alone`: how processes take turns. `outbox`: where
        it is told what happens."""
        self.records = records
        self.blobs = blobs
        self.uploads = uploads
        self.lifecycle = lifecycle
        self.policy = policy or PushPolicy()
        self.named_by = NamedBy()
        self.quotas = Quotas(records, quotas, alone, uploads=uploads)
        self._outbox = outbox
        self._may_read = may_read

    def parts(self, name: RepositoryName) -> RepositoryParts:
        """What one repository is made of."""
        return RepositoryParts.of(name, self.records, self.blobs, self.lifecycle.clock, self.policy.history)

    def repository(self, registry: RegistryName, name: RepositoryName) -> Repository:
        """The repository as the edge sees it, pushes included, whether it has anything or not."""
        parts = self.parts(name)
        return Repository(
            registry=registry,
            name=name,
            blobs=parts.blobs,
            manifests=parts.shelf,
            tags=RepositoryTags(self.records, parts.keys, parts.tags),
            referrers=RepositoryReferrers(parts.shelf),
            pushes=RepositoryPushes(self, parts),
        )

    def history(self, name: RepositoryName) -> TagHistory:
        """What is remembered of its tags, and the way back."""
        return TagHistory(self.parts(name), self)

    async def begin(self, happening: Happening) -> str:
        """Note what is about to happen; see `Outbox.begin`."""
        return await self._outbox.begin(happening) if self._outbox is not None else ""

    async def announce(self, happening: Happening, begun: str = "") -> None:
        """Tell those who want to know."""
        if self._outbox is not None:
            await self._outbox.add(happening, begun)

    def may_read(self, who: Pusher, name: RepositoryName) -> bool:
        """Whether `who` may read the repository."""
        return self._may_read(who, name)

    async def found(self, parts: RepositoryParts) -> None:
        """The repository exists from now on."""
        if await self.records.get(parts.keys.existence) is None:
            await self.records.create(parts.keys.existence, encode({"at": self.lifecycle.clock()}))

    def names(self, last: str = "") -> AsyncIterator[RepositoryName]:
        """Every repository that exists after `last`, in ASCII order."""
        return repository_names(self.records, last=last)
