"""Why a reference is wanted or not: rule, dimension and pattern."""

from __future__ import annotations

from dataclasses import dataclass

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.rules import Rule, Rules, Selection


@dataclass(frozen=True, slots=True)
class Reason:
    """What one rule says of a reference, in one dimension after the other; the first that says no ends it."""

    rule: str
    selected: bool
    words: tuple[str, ...]


def explain(rules: Rules, registry: RegistryName, repository: RepositoryName, tag: Tag) -> tuple[Reason, ...]:
    """One reason for every rule, in their order."""
    return tuple(_reason(rule, registry, repository, tag) for rule in rules)


def _reason(rule: Rule, registry: RegistryName, repository: RepositoryName, tag: Tag) -> Reason:
    if rule.registry != registry:
        return Reason(rule.name, False, (f"is about {rule.registry}",))
    words: list[str] = []
    for dimension, selection, name in (("repos", rule.repositories, repository), ("tags", rule.tags, tag)):
        selected, why = _verdict(selection, name)
        words.append(f"{dimension}: {why}")
        if not selected:
            return Reason(rule.name, False, tuple(words))
    if rule.platforms is not None:
        words.append("platforms: " + ", ".join(map(str, sorted(rule.platforms))))
    return Reason(rule.name, True, tuple(words))


def _verdict(selection: Selection, name: str) -> tuple[bool, str]:
    excluding: Pattern | None = selection.excluding(name)
    if excluding is not None:
        return False, f"{name} is excluded by {excluding}"
    taking = selection.taking(name)
    if taking is None:
        return False, f"{name} is taken by none of {', '.join(str(p) for p in selection.patterns)}"
    return True, f"{name} is taken by {taking}"
