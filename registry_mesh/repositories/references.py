"""What a manifest that is pushed names must be here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.mentions import mentions
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.repositories.origin_store import OriginStore
from registry_mesh.repositories.parts import RepositoryParts
from registry_mesh.repositories.push_policy import (
    refuse_missing,
    refuse_wrong_sizes,
    required_blobs,
    required_manifests,
)
from registry_mesh.tasks.together import ask_each

_WrittenAt = Callable[[Digest], Awaitable[float | None]]


class References:
    """Of manifests that are pushed to one repository."""

    def __init__(self, store: OriginStore, parts: RepositoryParts) -> None:
        self._store = store
        self._parts = parts

    async def demand(self, manifest: Manifest) -> None:
        """Everything that the manifest names is here, of the size that it says, and will be for the grace; else
        `ManifestBlobUnknown`, `SizeInvalid`."""
        blobs = await self._missing(required_blobs(manifest), self._blob_at)
        children = await self._missing(required_manifests(manifest), self._child_at)
        beyond = _beyond(manifest)
        absent = await self._missing(beyond, self._child_at)  # none is demanded, all are touched
        if not self._store.policy.sparse:
            wanted = required_blobs(manifest) | required_manifests(manifest)
            refuse_missing([wanted[digest] for digest in (*blobs, *children)])
        required = required_blobs(manifest).keys() | required_manifests(manifest).keys()
        here = required.difference(blobs, children) | beyond.keys() - set(absent)
        sized = [each for each in beyond.values() if each is not None]
        await self._demand_sizes([*manifest.blobs(), *manifest.manifests, *sized], here)

    async def _demand_sizes(self, named: Sequence[Descriptor], here: Collection[Digest]) -> None:
        """What is here has the size that the manifest says; else `SizeInvalid`."""

        async def size(digest: Digest) -> tuple[Digest, int] | None:
            with suppress(BlobUnknown):  # taken away meanwhile
                return digest, (await self._store.blobs.stat(digest)).size
            return None

        sizes = dict(filter(None, await ask_each(size, here)))
        refuse_wrong_sizes(named, sizes)

    async def _missing(self, wanted: Iterable[Digest], written_at: _WrittenAt) -> list[Digest]:
        async def lacks(digest: Digest) -> bool:
            at = await written_at(digest)
            if at is None or self._store.lifecycle.fresh(at):
                return at is None
            await self._store.lifecycle.touch(
                digest
            )  # it is old: it may be about to go, so touch it and look again
            return await written_at(digest) is None

        wanted = list(wanted)
        return [each for each, lacking in zip(wanted, await ask_each(lacks, wanted), strict=True) if lacking]

    async def _blob_at(self, digest: Digest) -> float | None:
        return await self._parts.blobs.linked_at(digest)

    async def _manifest_at(self, digest: Digest) -> float | None:
        shelved = await self._parts.shelf.find(digest)
        return shelved.at if shelved else None

    async def _child_at(self, digest: Digest) -> float | None:
        """An index may name what is no manifest (image-spec image-index.md): then it is a blob."""
        at = await self._manifest_at(digest)
        return await self._blob_at(digest) if at is None else at


def _beyond(manifest: Manifest) -> dict[Digest, Descriptor | None]:
    """What it names besides what a push must find, its subject among it; None where it says no size of it."""
    demanded = required_blobs(manifest) | required_manifests(manifest)
    found: dict[Digest, Descriptor | None] = (
        {manifest.subject.digest: manifest.subject} if manifest.subject else {}
    )
    for each in mentions(manifest.data, manifest.media_type).named:
        sized = Descriptor(each.media_type, each.digest, each.size) if each.size is not None else None
        found[each.digest] = found.get(each.digest) or sized
    return {digest: each for digest, each in found.items() if digest not in demanded}
