"""Whether a blob that is here belongs to the repository through which it is asked for."""

from __future__ import annotations

from typing import Final, Protocol

from registry_mesh.content.nest.names import NamesOfPlace
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import Failure, NotHeld
from registry_mesh.ports.hops import asked

NOT_HELD: Final = "not held here, and nobody was to be asked for it"


class Belonging(Protocol):
    """Tells for one repository."""

    async def demand(self, digest: Digest) -> None:
        """Return where the blob is the repository's. Else it is as if it were not here: `BlobUnknown`, failures where
        nobody can tell, `NotHeld` where nobody was to be asked for it."""
        ...

    async def before(self, digest: Digest) -> None:
        """Return where the source behind the store may be asked for the blob. `BlobUnknown`, failures."""
        ...

    async def gave(self, digest: Digest) -> None:
        """Note that the source behind the store gives the blob for this repository, where that is a proof."""
        ...

    async def given(self, digest: Digest) -> None:
        """Return where the blob, which the source behind the store gave for this repository, is the repository's.
        `BlobUnknown`."""
        ...


class Anybodys:
    """Whatever is here belongs to every repository."""

    async def demand(self, digest: Digest) -> None:
        """Return."""

    async def before(self, digest: Digest) -> None:
        """Return."""

    async def gave(self, digest: Digest) -> None:
        """Note nothing."""

    async def given(self, digest: Digest) -> None:
        """Return."""


class ByName:
    """What the repository names is its own; about the rest its parents are asked.

    `shared`: the source behind the store also gives what a bucket holds for all repositories, so that what it gave is
    no proof.
    """

    def __init__(self, names: NamesOfPlace, parents: BlobSource, *, shared: bool = False) -> None:
        self._names = names
        self._parents = parents
        self._shared = shared

    async def demand(self, digest: Digest) -> None:
        """See `Belonging.demand`."""
        if await self._names.have(digest):
            return
        try:
            await self._ask(digest)
        except (BlobUnknown, Failure):
            if asked().nobody:
                raise NotHeld(NOT_HELD) from None
            raise

    async def _ask(self, digest: Digest) -> None:
        try:
            await self._parents.stat(digest)
        except Failure:
            if await self._names.have_elsewhere(digest):
                return
            raise
        except (ManifestUnknown, NameUnknown):
            raise BlobUnknown("not in this repository", digest=str(digest)) from None
        await self._names.note_given(digest)

    async def before(self, digest: Digest) -> None:
        """See `Belonging.before`. Bytes that come while nobody may read them yet would be in the way."""
        if not self._shared or await self._names.have(digest) or await self._names.have_elsewhere(digest):
            return
        await self._parents.stat(digest)  # nothing is here yet: a failure is told as one
        await self._names.note_given(digest)

    async def gave(self, digest: Digest) -> None:
        """See `Belonging.gave`. Readers that wait for the first bytes, in whatever process, then ask nobody."""
        if not self._shared and not await self._names.have(digest):
            await self._names.note_given(digest)

    async def given(self, digest: Digest) -> None:
        """See `Belonging.given`."""
        await (self.demand if self._shared else self.gave)(digest)
