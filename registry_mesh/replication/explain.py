"""Why a reference is wanted or not: rule, dimension and pattern."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import Decision, Place, Verdict
from registry_mesh.replication.naming import targets
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.rules import Rule, Rules, Selection
from registry_mesh.replication.sentences import size
from registry_mesh.replication.version import Version


@dataclass(frozen=True, slots=True)
class Step:
    """What one dimension of a rule says, and by which pattern."""

    selected: bool
    by: str
    """The pattern that decided, as it stands; or how many took nothing."""
    why: str
    """The same as a sentence."""
    excluded: bool = False
    """Whether the pattern keeps it out."""
    aside: str = ""
    """What is easily missed of it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What one rule says of a reference, in one dimension after the other; the first that says no ends it."""

    rule: str
    selected: bool
    words: tuple[str, ...]
    note: str = ""
    """Why the rule exists."""
    steps: tuple[Step, ...] = ()
    """Of the repository, then of the tag, as far as they were asked."""


def explain(rules: Rules, registry: RegistryName, repository: RepositoryName, tag: Tag) -> tuple[Reason, ...]:
    """One reason for every rule, in their order."""
    return tuple(_reason(rule, registry, repository, tag) for rule in rules)


def _reason(rule: Rule, registry: RegistryName, repository: RepositoryName, tag: Tag) -> Reason:
    if rule.registry != registry:
        return Reason(rule.name, False, (f"is about {rule.registry}",))
    words, steps = list[str](), list[Step]()
    for dimension, selection, name in (("repos", rule.repositories, repository), ("tags", rule.tags, tag)):
        steps.append(_step(selection, name))
        words.append(f"{dimension}: {steps[-1].why}")
        if not steps[-1].selected:
            return Reason(rule.name, False, tuple(words), steps=tuple(steps))
    words += _looked_into(rule)
    return Reason(rule.name, True, tuple(words), rule.note, tuple(steps))


def _looked_into(rule: Rule) -> Iterator[str]:
    """What names do not tell."""
    platforms = "" if rule.platforms is None else ", ".join(map(str, sorted(rule.platforms)))
    if platforms:
        yield f"platforms: {platforms}"
    each = f"image for {platforms}" if platforms else "image"
    if rule.types:
        yield f"types: the first {each} must be {', '.join(rule.types)}"
    if rule.labels:
        labels = " and ".join(f"{name}={glob}" for name, glob in rule.labels)
        yield f"labels: each {each} must have {labels}"


def guards(rules: Rules, place: Place, tag: Tag) -> tuple[str, ...]:
    """What guards a selected reference, under all rules that select it, and where it goes."""
    by = [rule for rule in rules.of(place.registry, place.repository) if tag in rule.tags]
    found = [f"{rule.name}: {words}" for rule in by for words in _guards(rule, tag)]
    places, faults = targets(place, Decision(tag, tuple(by), Verdict.TAKE))
    if any(rule.to for rule in by):
        found += [f"{named.rule.name}: to {named}" for named in places]
    return (*found, *faults)


def _guards(rule: Rule, tag: Tag) -> Iterator[str]:
    if rule.age:
        yield f"age: taken after it has shown a value for {rule.age / 86400:g} d"
    if rule.fixed is not None and tag in rule.fixed:
        yield "fixed: never moves once it is here"
    if rule.most is not None:
        yield f"max: refused beyond {size(rule.most)}"
    if rule.verify is not None:
        yield f"verify: signed by {' or '.join(rule.verify.by)}"
    for pin in rule.pins:
        if pin.tag == tag:
            yield f"pinned to {pin.digest}"
    if rule.keep is not None:
        yield f"keep: the newest {rule.keep.newest} by {rule.keep.by.value}"
    if rule.when:
        yield f"when: {' or '.join(window.text for window in rule.when)}"


def _step(selection: Selection, name: str) -> Step:
    excluding: Pattern | None = selection.excluding(name)
    if excluding is not None:
        return Step(False, _told(excluding), f"{name} is excluded by {_told(excluding)}", excluded=True)
    taking = selection.taking(name)
    ranges = [
        each for each in selection.patterns if each.is_version and each.negative is (taking is not None)
    ]
    blind = bool(ranges) and Version.parse(name) is None
    does = "takes" if taking is None else "excludes"
    aside = f"it is no version, and {_listed(ranges)} {does} versions" if blind else ""
    more = f"; {aside}" if aside else ""
    if taking is None:
        told = [str(each) for each in selection.patterns]
        by = told[0] if len(told) == 1 else f"none of {len(told)} patterns"
        return Step(False, by, f"{name} is taken by none of {', '.join(told)}{more}", aside=aside)
    return Step(True, _told(taking), f"{name} is taken by {_told(taking)}{more}", aside=aside)


def _told(pattern: Pattern) -> str:
    return f"{pattern} of set {pattern.of}" if pattern.of else str(pattern)


def _listed(patterns: list[Pattern]) -> str:
    return ", ".join(map(str, patterns))
