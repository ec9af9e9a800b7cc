"""What pushes to one repository need of the store of all."""

from __future__ import annotations

from typing import Protocol

from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.happenings import Happening
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.records import Records
from registry_mesh.ports.uploads import Uploads
from registry_mesh.repositories.digest_life import Lifecycle
from registry_mesh.repositories.in_use import NamedBy
from registry_mesh.repositories.parts import RepositoryParts
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.repositories.quotas import Quotas


class Kept(Protocol):
    """Where what is pushed lies."""

    records: Records
    blobs: BlobStore
    uploads: Uploads


class Ruled(Protocol):
    """What decides about a push."""

    lifecycle: Lifecycle
    policy: PushPolicy
    named_by: NamedBy
    quotas: Quotas


class OriginStore(Kept, Ruled, Protocol):
    """Both. Implemented by `repositories.of_origin.Repositories`."""

    def may_read(self, who: Pusher, name: RepositoryName) -> bool:
        """Whether `who` may read the repository."""
        ...

    async def begin(self, happening: Happening) -> str:
        """Note what is about to happen; see `ports.happenings.Outbox.begin`."""
        ...

    async def announce(self, happening: Happening, begun: str = "") -> None:
        """Tell those who want to know what happened."""
        ...

    async def found(self, parts: RepositoryParts) -> None:
        """The repository exists from now on."""
        ...
