"""In which order the members of a group are asked."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.parents import Parent

BOUND: Final = 1.25
"""Times the average of its group that a member may have under way before it is passed over."""


class Spread(enum.Enum):
    """How a group shares what is asked of it."""

    LEAST_LOAD = "least-load"
    """The member whose answers are quickest, times what is under way there: for members that have everything."""
    RENDEZVOUS = "rendezvous"
    """By the digest: all who ask come to the same member for a blob, so that each member, a cache, holds a share."""


class Member(Protocol):
    """What a group is made of."""

    @property
    def parent(self) -> Parent:
        """How it is doing."""
        ...


M = TypeVar("M", bound=Member)


def ordered(group: Sequence[M], digest: Digest | None, spread: Spread) -> list[M]:
    """The group, best first. What has no digest goes by load in any case."""
    if spread is Spread.LEAST_LOAD or digest is None or len(group) < 2:
        return sorted(group, key=lambda each: each.parent.load)
    room = _room([each.parent for each in group])
    return sorted(group, key=lambda each: (each.parent.inflight >= room, _weight(each.parent.name, digest)))


def _room(parents: Sequence[Parent]) -> int:
    """Requests that one of them may have under way: consistent hashing with bounded loads (Mirrokni, Thorup,
    Zadimoghaddam 2016). Those that are away take none."""
    there = sum(parent.available for parent in parents) or len(parents)
    return math.ceil(BOUND * (sum(parent.inflight for parent in parents) + 1) / there)


def _weight(name: str, digest: Digest) -> bytes:
    return hashlib.blake2b(f"{name} {digest}".encode(), digest_size=8).digest()
