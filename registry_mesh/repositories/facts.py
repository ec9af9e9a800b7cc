"""Reading one repository's documents for a collection or a self-check."""

from __future__ import annotations

from dataclasses import dataclass, field

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.documents import decode
from registry_mesh.repositories.keys import digest_of
from registry_mesh.repositories.loose import Names, RepositoryFacts
from registry_mesh.repositories.manifests import ShelvedManifest
from registry_mesh.repositories.parts import RepositoryParts
from registry_mesh.tasks.together import ask_each


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a repository has: the facts to decide by, and sizes in bytes."""

    name: RepositoryName
    facts: RepositoryFacts
    sizes: dict[Digest, int] = field(repr=False)
    standing: frozenset[Digest] = frozenset()
    """Of the roots those that are none by a tag's history alone."""


async def inventory(
    parts: RepositoryParts,
    now: float,
    grace: float,
    extra_roots: frozenset[Digest] = frozenset(),
    keep_untagged: bool = False,
) -> Inventory:
    """Tags first, then manifests, then blobs: a push writes in the opposite order, so whatever this sees of it
    hangs on something. `keep_untagged`: every manifest is a root."""
    histories = await ask_each(parts.tags.history, await parts.tags.names())
    last = (entries[-1].digest for entries in histories if entries)
    standing = frozenset(each for each in last if each) | extra_roots | {*await pinned(parts)}
    roots = standing | {each.digest for entries in histories for each in entries if each.digest}
    taken_out = [await parts.shelf.names(each) async for each in parts.shelf.all(parts.keys.deleted)]
    manifests = {each.digest: await parts.shelf.names(each) async for each in parts.shelf.all()}
    deleted = {
        each.digest: each for each in taken_out if each.digest not in manifests and each.at > now - grace
    }
    expired = {each.digest for each in taken_out if each.at <= now - grace}
    sizes = {each.digest: each.descriptor.size for each in (*deleted.values(), *manifests.values())}
    blobs = await _blob_sizes(parts)
    if keep_untagged:
        roots, standing = roots | manifests.keys(), standing | manifests.keys()
    facts = RepositoryFacts(
        roots,
        {digest: _names(each) for digest, each in manifests.items()},
        {digest: _names(each) for digest, each in deleted.items()},
        expired,
        blobs.keys(),
    )
    return Inventory(parts.name, facts, sizes | blobs, standing)


async def pinned(parts: RepositoryParts) -> list[Digest]:
    """The manifests that are kept though no tag points at them."""
    found = [digest_of(key) async for key in parts.records.walk(parts.keys.pinned)]
    return sorted((digest for digest in found if digest is not None), key=str)


def _names(shelved: ShelvedManifest) -> Names:
    return Names(
        shelved.digest,
        shelved.blobs,
        shelved.manifests,
        shelved.subject,
        shelved.mentions,
        shelved.left_out,
    )


async def _blob_sizes(parts: RepositoryParts) -> dict[Digest, int]:
    keys = [key async for key in parts.records.walk(parts.keys.blobs)]
    documents = await ask_each(parts.records.get, keys)
    sizes = {}
    for key, data in zip(keys, documents, strict=True):
        digest = digest_of(key)
        if data is not None and digest is not None:
            sizes[digest] = int(decode(data, key).get("size", 0))
    return sizes
