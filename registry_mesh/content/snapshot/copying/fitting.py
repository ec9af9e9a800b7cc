"""Which of the things that are wanted fit into the room there is: whole ones, in the order they are wanted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from registry_mesh.content.snapshot.finding.jobs import Job, Lane

Key = TypeVar("Key", bound=Hashable)

BESIDE: Final = 16 << 10
BESIDE_SHARE: Final = 1 / 1024
"""In bytes, and of its size: what a store keeps beside each blob, and the rest of its last page."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """`jobs` that fit; the keys that do not; the bytes of room that these lack."""

    jobs: frozenset[Hashable]
    left_out: tuple[Hashable, ...] = ()
    lacking: int = 0


def cost(size: int) -> int:
    """Bytes of room that a blob of `size` takes."""
    return size + int(size * BESIDE_SHARE) + BESIDE


def fit(jobs: Mapping[Hashable, Job], wanted: Iterable[Hashable], room: int) -> Fitting:
    """Take each of `wanted`, with all that it needs and comes after, that fits into what those before it left."""
    taken: set[Hashable] = set()
    left_out: list[Hashable] = []
    beyond: set[Hashable] = set()
    free, lacking = room, 0
    for key in wanted:
        new = _closure(jobs, key, taken)
        size = sum(cost(jobs[each].size) for each in new if jobs[each].lane is Lane.BYTES)
        if size <= free:
            taken |= new
            free -= size
        else:
            left_out.append(key)
            lacking += sum(cost(jobs[each].size) for each in new - beyond if jobs[each].lane is Lane.BYTES)
            beyond |= new
    return Fitting(frozenset(taken), tuple(left_out), max(0, lacking - free) if left_out else 0)


def _closure(jobs: Mapping[Hashable, Job], key: Hashable, known: set[Hashable]) -> set[Hashable]:
    """`key` and all below it, without what is `known`."""
    found, todo = {key} - known, [key]
    while todo:
        job = jobs[todo.pop()]
        for each in (*job.needs, *job.after):
            if each not in found and each not in known:
                found.add(each)
                todo.append(each)
    return found
