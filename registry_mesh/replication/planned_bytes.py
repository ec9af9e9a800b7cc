"""Which bytes a plan moves: what each step needs, of what is not here and no step before it brings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.replication.listing import HeldPlaces, Recorded
from registry_mesh.replication.plan import Plan, Step
from registry_mesh.replication.rules import Rule, union
from registry_mesh.replication.terms import Data

Blobs = Mapping[str, int]
"""Digests to bytes."""


class PlannedBytes:
    """Knows what is `held` here, and at registries that are `pushed` to."""

    def __init__(self, held: HeldPlaces, pushed: Collection[RegistryName]) -> None:
        self._wanted: dict[str, Blobs] = {}
        self._here: dict[RegistryName | None, set[int]] = {None: set()}
        for (registry, _), each in held.items():
            here = self._here.setdefault(registry if registry in pushed else None, set())
            here.update(key(digest) for weight in each.weights.values() for digest in weight.blobs)

    def have(self, digests: Iterable[str]) -> None:
        """These are here, too."""
        self._here[None].update(map(key, digests))

    def want(self, ref: str, to: str, blobs: Blobs | None) -> None:
        """The tag `to`, made of `ref`, needs these; None is not known."""
        if blobs is not None:
            self._wanted[_of(ref, to)] = blobs

    def share(self, first: Step, other: Step) -> None:
        """What `other` would bring comes with `first`, which writes the same."""
        one, more = (self._wanted.get(_of(each.source, each.to)) for each in (first, other))
        if one is not None and more is not None and first.source != other.source:
            self._wanted[_of(first.source, first.to)] = {**one, **more}

    def lacks(self, blobs: Blobs | None, at: RegistryName | None = None) -> bool:
        """Whether some of these are not here, or `at` a registry that is pushed to."""
        here = self._here.get(at, ())
        return any(key(digest) not in here for digest in blobs or ())

    def weigh(self, steps: list[Step], plan: Plan) -> None:
        """Each gets, in its place, what is new of it: an object counts once, at the first step that needs it; at one
        that pushes it out once for coming here, and once for going there. `plan` is told of what is not known."""
        for number, step in enumerate(steps):
            if step.do == "delete":
                continue
            blobs = self._wanted.get(_of(step.source, step.to))
            if blobs is None and step.size is None:
                plan.unknown.append((step.source, "size"))
            new = step.size if blobs is None else self._new(step, blobs)
            steps[number] = step.bringing(new)

    def _new(self, step: Step, blobs: Blobs) -> int:
        """Bytes that a step moves, of blobs that no step before it moved."""
        here = self._here[None]
        if step.do != "push":
            return _first(here, blobs)
        there = self._here.setdefault(RegistryName(step.to.partition("/")[0]), set())
        lacking = {digest: size for digest, size in blobs.items() if key(digest) not in there}
        return _first(there, lacking) + _first(here, lacking)


def wanted(recorded: Recorded, tag: Tag, rules: Collection[Rule]) -> Blobs | None:
    """The blobs that `rules` want of a tag; None is not known."""
    if not any(rule.data is Data.FULL for rule in rules):
        return {}
    weight = recorded.weights.get(tag)
    return None if weight is None else weight.of(union(rule.platforms for rule in rules))


def key(digest: str) -> int:
    """A digest in few bytes; 96 of its bits."""
    return int(digest[-24:], 16)


def _of(ref: str, to: str) -> str:
    """What is made of what, as one text; a step that keeps the name costs no other."""
    return to if ref == to else f"{to} {ref}"


def _first(known: set[int], blobs: Blobs) -> int:
    """Bytes of those that are not `known` yet; from now on they are."""
    new = 0
    for digest, size in blobs.items():
        if (short := key(digest)) not in known:
            known.add(short)
            new += size
    return new
