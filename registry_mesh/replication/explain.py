"""Why a reference is wanted or not: rule, dimension and pattern."""

from __future__ import annotations

from dataclasses import dataclass

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.rules import Rule, Rules, Selection
from registry_mesh.replication.version import Version


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
    ranges = [
        each for each in selection.patterns if each.is_version and each.negative is (taking is not None)
    ]
    blind = bool(ranges) and Version.parse(name) is None
    if taking is None:
        none = f"{name} is taken by none of {', '.join(str(p) for p in selection.patterns)}"
        return False, none + (f"; it is no version, and {_listed(ranges)} takes versions" if blind else "")
    passed = f"; it is no version, and {_listed(ranges)} excludes versions" if blind else ""
    return True, f"{name} is taken by {taking}{passed}"


def _listed(patterns: list[Pattern]) -> str:
    return ", ".join(map(str, patterns))
