"""Where tags of one repository go: the repositories that rules make of it, and the names of its tags there.

What becomes of a tag is decided for each destination by itself, by the rules that make it: `max` of a rule that keeps
a tag under one name holds up no rule that keeps it under another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import Decision, Place, Verdict, named
from registry_mesh.replication.naming import targets
from registry_mesh.replication.rules import Rule
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.wanted import is_companion, selecting

Unnamed = tuple[Tag, Rule, str]
"""A tag that a rule gives no legal name, and why."""


@dataclass(slots=True)
class Destination:
    """A repository that rules make of another: which of them do, and what they make of its tags."""

    registry: RegistryName
    repository: RepositoryName
    is_outward: bool = False
    rules: list[Rule] = field(default_factory=list)
    names: dict[Tag, dict[Tag, list[Rule]]] | None = None
    """By tag what it becomes, and the rules that say so; None: each keeps its name."""
    also: frozenset[Tag] = frozenset()
    """Companions that go along under their own names, though its rules give them other names or none."""

    def decided_of(self, listed: Mapping[Tag, TagFacts]) -> Mapping[Tag, TagFacts]:
        """Those of a whole listing that may come here."""
        if self.names is None:
            return listed
        return {tag: listed[tag] for tag in (*self.names, *(self.also - self.names.keys()))}

    def of(self, tag: Tag, taken: Collection[Rule] | None = None) -> Sequence[Tag]:
        """What a tag becomes, of those of its rules that take it (`taken`; None: of all). A companion that gets no name
        keeps its own, for it is found by that."""
        several = self._several(tag)
        if several is None:
            return (tag,)
        return [name for name, by in several.items() if taken is None or any(rule in taken for rule in by)]

    def by(self, tag: Tag, name: Tag, taken: Sequence[Rule]) -> tuple[Rule, ...]:
        """Those of the rules that take a tag which give it this name."""
        several = self._several(tag)
        return tuple(taken) if several is None else tuple(rule for rule in several[name] if rule in taken)

    def _several(self, tag: Tag) -> Mapping[Tag, Sequence[Rule]] | None:
        """Its names; None where it keeps its own."""
        if self.names is None or (tag not in self.names and is_companion(tag)):
            return None
        return self.names.get(tag, {})

    def ref(self, name: Tag) -> str:
        """One of its tags, `REGISTRY/REPOSITORY:TAG`."""
        return f"{self.registry}/{self.repository}{named(name)}"

    def add(self, tag: Tag, name: Tag, rule: Rule) -> None:
        """`rule`, one of its rules, gives `tag` this name."""
        names = self.names = self.names if self.names is not None else {}
        names.setdefault(tag, {}).setdefault(name, []).append(rule)


def destinations(
    place: Place, rules: Sequence[Rule], tags: Iterable[Tag], own: RegistryName | None = None
) -> tuple[list[Destination], list[Unnamed]]:
    """All that `rules` make of a repository with `tags`. `own`: see `targets`."""
    if not any(rule.to for rule in rules):
        home = place.registry if own is None else own
        return [Destination(home, place.repository, rules=list(rules))] if rules else [], []
    found: dict[tuple[RegistryName, RepositoryName, bool], Destination] = {}
    made_by: dict[tuple[RegistryName, RepositoryName, bool], dict[str, Rule]] = {}
    unnamed: list[Unnamed] = []
    selected = selecting(rules, tags)
    for tag, by in selected.items():
        for rule in by:
            several, faults = targets(place, Decision(tag, (rule,), Verdict.TAKE), own)
            unnamed += [(tag, rule, fault) for fault in faults]
            for to in several:
                key = (to.registry, to.repository, to.is_outward)
                if key not in found:
                    found[key] = Destination(*key)
                found[key].add(tag, to.tag, rule)
                made_by.setdefault(key, {})[rule.name] = rule
    also = _also(selected)
    for key, destination in found.items():
        destination.rules = list(made_by[key].values())
        destination.also = frozenset().union(*(also.get(name, ()) for name in made_by[key]))
    return list(found.values()), unnamed


def _also(selected: Mapping[Tag, Iterable[Rule]]) -> dict[str, list[Tag]]:
    """By rule the companions that it selects."""
    found: dict[str, list[Tag]] = {}
    for tag, by in selected.items():
        for rule in by if is_companion(tag) else ():
            found.setdefault(rule.name, []).append(tag)
    return found
