"""Which member of a group is asked first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from registry_mesh.content.nest.spread import BOUND, Spread, ordered
from registry_mesh.oci.digest import Digest

DIGESTS = [Digest.of(str(number).encode()) for number in range(2000)]


@dataclass
class Place:
    name: str
    load: float = 0.0
    inflight: int = 0
    available: bool = True


@dataclass
class Node:
    """A member."""

    parent: Place


def group(*names: str) -> list[Node]:
    return [Node(Place(name)) for name in names]


def first(members: list[Node], digest: Digest | None, spread: Spread = Spread.RENDEZVOUS) -> str:
    return ordered(members, digest, spread)[0].parent.name  # type: ignore[type-var]  # as much of a parent as is asked


def test_all_come_to_the_same_member_for_a_blob_and_each_member_has_its_share() -> None:
    here, there = group("a", "b", "c"), group("c", "a", "b")
    chosen = Counter(first(here, digest) for digest in DIGESTS)
    assert [first(here, digest) for digest in DIGESTS] == [first(there, digest) for digest in DIGESTS]
    assert min(chosen.values()) > len(DIGESTS) / 3 * 0.85


def test_a_member_more_takes_its_share_and_moves_nothing_else() -> None:
    before, after = group("a", "b", "c"), group("a", "b", "c", "d")
    moved = [digest for digest in DIGESTS if first(before, digest) != first(after, digest)]
    assert {first(after, digest) for digest in moved} == {"d"}
    assert len(DIGESTS) / 4 * 0.85 < len(moved) < len(DIGESTS) / 4 * 1.15


def test_a_hot_blob_does_not_crush_its_member() -> None:
    members = group("a", "b", "c")
    for _ in range(300):
        chosen = ordered(members, DIGESTS[0], Spread.RENDEZVOUS)[0]  # type: ignore[type-var]
        chosen.parent.inflight += 1
    under_way = [each.parent.inflight for each in members]
    assert max(under_way) <= BOUND * 300 / 3 + 1, under_way


def test_the_bound_is_of_those_that_are_there() -> None:
    members = group("a", "b", "c")
    for each in members[1:]:
        each.parent.available = False
    members[0].parent.inflight = 50
    alone = [digest for digest in DIGESTS if first(members, digest) == "a"]
    assert len(alone) > 500, "its load is the average"


@pytest.mark.parametrize("digest", [DIGESTS[0], None])
def test_by_load_the_least_loaded_is_first(digest: Digest | None) -> None:
    members = group("a", "b", "c")
    for load, each in zip((3.0, 1.0, 2.0), members, strict=True):
        each.parent.load = load
    assert first(members, digest, Spread.LEAST_LOAD) == "b"
    assert first(members, None) == "b", "what has no digest goes by load"
