"""Where a tag goes, and what it is called there, under the rules that take it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import Decision, Place, named
from registry_mesh.replication.rules import Rule
from registry_mesh.replication.target import Source, Target


@dataclass(frozen=True, slots=True)
class Named:
    """A tag that another becomes, under `rule`, of those that say so (`by`) the one of the highest priority;
    `is_outward`: at a registry that is pushed to."""

    registry: RegistryName
    repository: RepositoryName
    tag: Tag
    is_outward: bool
    rule: Rule = field(compare=False)
    by: tuple[Rule, ...] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{named(self.tag)}"


def targets(
    place: Place, decision: Decision, own: RegistryName | None = None
) -> tuple[list[Named], list[str]]:
    """Where a tag goes under each of its rules, and what cannot be named. `own`: the registry of a node that keeps all
    under one of its own; else a name without a registry is one of the source's."""
    found: dict[Named, Named] = {}
    faults = []
    home = place.registry if own is None else own
    for rule in decision.rules:
        for target in rule.to or (Target(),):
            try:
                name, tag = target.of(_source(place, rule, decision.tag))
            except ValueError as fault:
                faults.append(f"{place.ref(decision.tag)}: {fault}")
                continue
            named = Named(target.registry or home, name, tag, target.registry is not None, rule, (rule,))
            found[named] = named if named not in found else _also(found[named], rule)
    return list(found.values()), faults


def _also(named: Named, rule: Rule) -> Named:
    """It, under one more rule."""
    first = rule if rule.priority.rank > named.rule.priority.rank else named.rule
    return replace(named, rule=first, by=(*named.by, rule))


def _source(place: Place, rule: Rule, tag: Tag) -> Source:
    reads = (each.reads(tag) for each in rule.tags.patterns if not each.negative)
    version = next((read.text for read in reads if read is not None), None)
    return Source(place.registry, place.repository, tag, version)
