"""What becomes of the tags of a repository at each place where rules put them, by what is listed and what is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.replication.decision import Decision, decide, staying
from registry_mesh.replication.destinations import Destination
from registry_mesh.replication.keep import Staying
from registry_mesh.replication.listing import HeldPlaces, Recorded
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.tag_facts import TagFacts


@dataclass(frozen=True, slots=True)
class AtDestination:
    """What becomes of tags at one destination, and what is known of them there."""

    to: Destination
    decided: Mapping[Tag, Decision]
    facts: Mapping[Tag, TagFacts]


def at_destinations(
    rules: Rules, recorded: Recorded, several: Sequence[Destination], held: HeldPlaces, now: float
) -> Iterator[AtDestination]:
    """One after the other. `several` are all that `rules` make of what is recorded; `held` is what the node has."""
    place = recorded.place
    home = held.get((place.registry, place.repository))
    stay: Staying | None = None
    of = {rule.name: rule for to in several for rule in to.rules}.values()
    if any(to.names is not None for to in several) and any(rule.keep for rule in of):
        stay = staying(place, rules, of, _facts(recorded.tags, home, None, several[0]), now)
    for to in several:
        there = held.get((to.registry, to.repository))
        facts = _facts(to.decided_of(recorded.tags), home, there, to)
        decided = decide(place, rules, to.rules, facts, now, stay)
        yield AtDestination(to, {tag: each for tag, each in decided.items() if to.of(tag)}, facts)


def _facts(
    told: Mapping[Tag, TagFacts], held: Recorded | None, there: Recorded | None, to: Destination
) -> Mapping[Tag, TagFacts]:
    """What is told, with what each stands for at the destination, and what is remembered of its value: of what is
    `held` under its own name, or was seen."""
    if held is None and there is None:
        return told
    home, seen = (held.tags, held.seen) if held is not None else ({}, {})
    found = {}
    for tag, facts in told.items():
        standing = None if there is None else _standing(there, to.of(tag))
        found[tag] = _with(facts, seen.get(tag), home.get(tag), standing)
    return found


def _standing(there: Recorded, names: Iterable[Tag]) -> Digest | None:
    """What a tag is there under all of its names; None where they differ, or one is not there."""
    found = {there.tags[name].digest if name in there.tags else None for name in names}
    return found.pop() if len(found) == 1 else None


def _with(facts: TagFacts, seen: TagFacts | None, home: TagFacts | None, standing: Digest | None) -> TagFacts:
    """With what is known of its value, where it is that of its source still; else it moved once more than `seen`."""
    known = seen or home
    if known is None or (seen is None and known.digest != facts.digest):
        return facts if standing is None else replace(facts, held=standing)
    if known.digest != facts.digest:
        return replace(facts, held=standing, moves=facts.moves or known.moves + 1)
    since = facts.since if facts.since is not None else known.since
    moves, released = facts.moves or known.moves, facts.released or known.released
    return replace(facts, held=standing, since=since, here=known.here, moves=moves, released=released)
