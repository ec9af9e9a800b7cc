"""Repositories as they were at one time: at their source, or held by a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import Place
from registry_mesh.replication.images import joined
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.weight import Weight

_JOINED: Final = ("since", "size", "weight", "type", "labels", "signed_by", "has")


@dataclass(frozen=True, slots=True)
class Held:
    """What a node remembers of a tag that it holds: which rules wanted it, and since when it is gone at its source or
    wanted by none (seconds since the epoch)."""

    rules: tuple[str, ...] = ()
    gone: float | None = None
    unselected: float | None = None
    held_until: float | None = None
    """What a `hold` promised, infinity where it is for ever."""
    made_of: tuple[tuple[Place, Tag], ...] = ()
    """The tags of which rules made it, where it has another name than they."""


def joined_facts(one: TagFacts, other: TagFacts) -> TagFacts:
    """What two listings say of one tag: where its digest is the same what either knows, else the `other`."""
    if one.digest != other.digest:
        return other
    known = {name: getattr(one, name) for name in _JOINED if getattr(other, name) is None}
    return replace(other, images=joined(one.images, other.images), **known)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One repository."""

    place: Place
    listed_at: float
    tags: Mapping[Tag, TagFacts]
    weights: Mapping[Tag, Weight] = field(default_factory=dict)
    held: Mapping[Tag, Held] = field(default_factory=dict)
    seen: Mapping[Tag, TagFacts] = field(default_factory=dict)
    """Of what a node holds: what it remembers of other values that it saw at the source, held or not: since when, how
    often the tag moved, and whether a person let it through."""
    partial: frozenset[Tag] = frozenset()
    """Those of which something is lacking that rules left out; `weights` is of what is here."""
    error: str | None = None
    """Why it could not be listed."""


@dataclass(slots=True)
class Beside:
    """What a node has and did besides the tags that it holds."""

    untagged: set[str] = field(default_factory=set)
    """Digests of blobs that none of them names."""
    deleted: dict[str, int] = field(default_factory=dict)
    """By registry how many tags it deleted within 24 hours."""


HeldPlaces = Mapping[tuple[RegistryName, RepositoryName], Recorded]
"""What a node holds, by registry and repository."""
