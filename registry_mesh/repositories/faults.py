"""What is wrong with a store: decides from what was read, touches nothing."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.repositories.loose import RepositoryFacts


class Fault(enum.Enum):
    """What can be wrong. The value is how an operator reads it."""

    ROTTEN = "the stored bytes do not fit the digest"
    CUT = "the stored bytes are not as many as was pushed"
    MISSING = "the bytes are gone"
    UNREADABLE = "the bytes cannot be read"
    CHUNK_MAP = "the chunk map does not fit the bytes"
    DOCUMENT = "a document cannot be read"
    DANGLING_TAG = "the tag points at a manifest that is not here"
    DANGLING_BLOB = "a manifest names a blob that the repository does not have"
    DANGLING_CHILD = "an index names a manifest that the repository does not have"


REPAIRABLE = frozenset({Fault.ROTTEN, Fault.CUT, Fault.MISSING, Fault.UNREADABLE, Fault.CHUNK_MAP})
"""Those that bytes from elsewhere mend."""

_SHOWN: Final = 8
"""Tags that a line names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `repaired` where it was, and is not any more."""

    fault: Fault
    where: str
    digest: Digest | None = None
    detail: str = ""
    repaired: bool = False
    tags: tuple[Tag, ...] = field(default=(), compare=False)
    """Those of the repository that do not pull without it."""

    def __str__(self) -> str:
        parts = [self.where, str(self.digest) if self.digest else "", self.fault.value, self.detail]
        return ": ".join([*filter(None, parts), *self._needed()]) + (" (repaired)" if self.repaired else "")

    def _needed(self) -> Iterator[str]:
        if self.tags:
            more = f" and {len(self.tags) - _SHOWN:,} more" if len(self.tags) > _SHOWN else ""
            word = "tag" if len(self.tags) == 1 else "tags"
            yield f"needed by {word} {', '.join(self.tags[:_SHOWN])}{more}"


@dataclass(frozen=True, slots=True)
class BlobFacts:
    """What was read of a blob: its own digest, size and whether its chunk map fits (None: it has none)."""

    digest: Digest
    size: int
    chunk_map_fits: bool | None = None


def bytes_fault(stated: int | None, size: int) -> Fault:
    """What has happened to bytes that do not fit their digest: `size` are there, and documents say `stated`."""
    return Fault.CUT if stated is not None and size != stated else Fault.ROTTEN


def blob_fault(digest: Digest, stated: int | None, found: BlobFacts) -> Fault | None:
    """What is wrong with the bytes of `digest`, of which documents say that there are `stated`."""
    if found.digest != digest:
        return bytes_fault(stated, found.size)
    return Fault.CHUNK_MAP if found.chunk_map_fits is False else None


def reference_faults(
    name: RepositoryName, facts: RepositoryFacts, tags: Mapping[Tag, Digest], sparse: bool = False
) -> Iterator[Finding]:
    """What a repository's tags and manifests name that it does not have; where it is `sparse`, manifests may."""
    for tag, digest in tags.items():
        if digest not in facts.manifests:
            yield Finding(Fault.DANGLING_TAG, f"{name}:{tag}", digest)
    for names in facts.manifests.values() if not sparse else ():
        where = f"{name}@{names.digest}"
        for blob in names.blobs:
            if blob not in facts.blobs and blob not in names.left_out:
                yield Finding(Fault.DANGLING_BLOB, where, blob)
        for child in names.manifests:
            if child not in facts.manifests and child not in facts.blobs and child not in names.left_out:
                yield Finding(Fault.DANGLING_CHILD, where, child)


class Needs:
    """Which tags of a repository lead to what: over indexes to manifests, and from those to blobs."""

    def __init__(self, facts: RepositoryFacts, tags: Mapping[Tag, Digest]) -> None:
        self._facts = facts
        self._tags = tags

    def of(self, digest: Digest) -> tuple[Tag, ...]:
        """The tags that lead to `digest`, in their order."""
        seen, ahead = {digest}, [digest]
        while ahead:
            above = [each for each in self._naming.get(ahead.pop(), ()) if each not in seen]
            seen.update(above)
            ahead += above
        return tuple(sorted(tag for each in seen for tag in self._pointing.get(each, ())))

    @cached_property
    def _naming(self) -> Mapping[Digest, Sequence[Digest]]:
        found: dict[Digest, list[Digest]] = {}
        for digest, names in self._facts.manifests.items():
            for each in (*names.manifests, *names.blobs):
                found.setdefault(each, []).append(digest)
        return found

    @cached_property
    def _pointing(self) -> Mapping[Digest, Sequence[Tag]]:
        found: dict[Digest, list[Tag]] = {}
        for tag, digest in self._tags.items():
            found.setdefault(digest, []).append(tag)
        return found


def left_out(facts: RepositoryFacts) -> int:
    """How much of what manifests name is not here because rules do not want it."""
    return sum(
        each not in facts.manifests and each not in facts.blobs
        for names in facts.manifests.values()
        for each in names.left_out
    )
