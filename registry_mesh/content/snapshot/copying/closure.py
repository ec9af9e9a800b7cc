"""Whether everything that a tag stands for is here: the second look before a tag is switched.

Shares nothing with what planned and copied: it reads what clients would be given, by the repository's own
answers, and hashes manifests anew.
"""

from __future__ import annotations

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import Kind, Mention, Mentions, mentions
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.rules import Platforms
from registry_mesh.replication.terms import Data
from registry_mesh.replication.wanted import Wanted, wanted


async def first_gap(
    held: Repository, root: Digest, platforms: Platforms, data: Data = Data.FULL
) -> str | None:
    """What is lacking first, in words; None where nothing is. Blobs are looked for where all `data` is wanted."""
    start: tuple[Digest, int | None] = (root, None)
    left, seen = [start], {start}
    while left:
        digest, size = left.pop()
        try:
            manifest = (await held.manifests.manifest(digest)).manifest
        except (Refusal, Failure) as fault:
            return f"manifest {digest}: {fault.reason}"
        if Digest.of(manifest.data, digest.algorithm) != digest:
            return f"manifest {digest}: other bytes are stored"
        if size is not None and size != len(manifest.data):
            return f"manifest {digest}: {len(manifest.data)} bytes are stored, {size} are named"
        found = mentions(manifest.data, manifest.media_type)
        wants = wanted(found, platforms)
        if wants.unreadable:
            return f"what {digest} names: {wants.unreadable[0].where}"
        needed = _needed(found, wants)
        if (twice := _of_two_sizes(needed)) is not None:
            return f"what {digest} names: {twice}"
        for named in needed:
            told = (named.digest, named.size)
            if told in seen:
                continue
            if data is not Data.FULL and named.kind is not Kind.MANIFEST:
                continue
            gap, is_manifest = await _look(held, named)
            if gap is not None:
                return gap
            if is_manifest:
                seen.add(told)
                left.append(told)
    return None


def _needed(found: Mentions, wants: Wanted) -> list[Mention]:
    """All that a document tells of what it cannot do without: a client reads whichever mention fits it."""
    digests = {each.digest for each in wants.mentions if each.needed}
    told = {(each.digest, each.kind, each.size): each for each in found.named if each.digest in digests}
    return list(told.values())


def _of_two_sizes(needed: list[Mention]) -> str | None:
    """The first that is told to have two sizes, in words: one of them is a lie, whatever is stored."""
    sizes: dict[Digest, int] = {}
    for each in needed:
        if each.size is not None and sizes.setdefault(each.digest, each.size) != each.size:
            return f"{each.digest} twice, of {sizes[each.digest]} and of {each.size} bytes"
    return None


async def _look(held: Repository, named: Mention) -> tuple[str | None, bool]:
    """What is lacking of what is named, and whether it is to be read as a manifest."""
    if named.kind is Kind.MANIFEST:
        return None, True
    try:
        info = await held.blobs.stat(named.digest)
    except (Refusal, Failure) as fault:
        if named.kind is Kind.UNTOLD:  # then it is a manifest, or nothing
            return None, True
        return f"blob {named.digest}: {fault.reason}", False
    if named.size is not None and info.size != named.size:
        return f"blob {named.digest}: {info.size} bytes are stored, {named.size} are named", False
    return None, False
