"""What a change of rules changes, over one catalog: references that come, go, or are taken otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.replication.deciding import at_destinations
from registry_mesh.replication.decision import Decision, Place, Verdict
from registry_mesh.replication.destinations import destinations
from registry_mesh.replication.explain import explain
from registry_mesh.replication.index import RuleIndex
from registry_mesh.replication.listing import HeldPlaces, Recorded
from registry_mesh.replication.naming import targets
from registry_mesh.replication.rules import Rule, Rules

_BEST_FIRST: Final = (Verdict.TAKE, Verdict.WAIT, Verdict.REFUSE, Verdict.PAST, Verdict.DENY)


@dataclass(frozen=True, slots=True)
class Change:
    """One reference; `kind` is `+`, `-` or `~`."""

    ref: str
    kind: str
    rule: str
    because: str
    size: int | None = None


@dataclass(slots=True)
class Tally:
    """How many references were looked at."""

    tags: int = 0


def difference(
    before: Rules,
    after: Rules,
    listing: Iterable[Recorded],
    now: float,
    tally: Tally,
    held: HeldPlaces | None = None,
    own: RegistryName | None = None,
) -> Iterator[Change]:
    """Every reference that changes, in the order of the listing. `held`: what the node has, nothing where None; `own`:
    the registry under which it keeps all, where it has one."""
    old, new = (_Deciding(RuleIndex(rules), now, held or {}, own) for rules in (before, after))
    for recorded in listing:
        tally.tags += len(recorded.tags)
        was, will = old.of(recorded), new.of(recorded)
        for tag in sorted(was.keys() | will.keys()):
            change = _change(recorded.place, tag, was.get(tag), will.get(tag), recorded, before, after)
            if change is not None:
                yield change


@dataclass(frozen=True, slots=True)
class _Deciding:
    index: RuleIndex
    now: float
    held: HeldPlaces
    own: RegistryName | None

    def of(self, recorded: Recorded) -> dict[Tag, Decision]:
        """Of all destinations the best: a tag that one of them takes is taken, by the rules that do so."""
        place = recorded.place
        of = self.index.of(place.registry, place.repository)
        several, _ = destinations(place, of, recorded.tags, self.own)
        found: dict[Tag, Decision] = {}
        for at in at_destinations(self.index.rules, recorded, several, self.held, self.now):
            for tag, decision in at.decided.items():
                found[tag] = _better(found[tag], decision) if tag in found else decision
        return found


def _better(one: Decision, other: Decision) -> Decision:
    """The one that goes further; both together where they go as far."""
    first, second = sorted((one, other), key=lambda each: _BEST_FIRST.index(each.verdict))
    if first.verdict is not second.verdict:
        return first
    return replace(first, rules=tuple(dict.fromkeys((*one.rules, *other.rules))))


def _taken(decision: Decision | None) -> bool:
    return decision is not None and decision.verdict in (Verdict.TAKE, Verdict.WAIT)


def _change(
    place: Place,
    tag: Tag,
    was: Decision | None,
    will: Decision | None,
    recorded: Recorded,
    before: Rules,
    after: Rules,
) -> Change | None:
    ref, size = place.ref(tag), recorded.tags[tag].size
    if not _taken(was) and not _taken(will):
        return None
    if not _taken(was) and will is not None:
        names = ", ".join(rule.name for rule in will.rules)
        return Change(ref, "+", names, _taking(will, tag, before), size)
    if not _taken(will) and was is not None:
        because = will.because if will is not None else _lost(was, place, tag, after)
        return Change(ref, "-", ", ".join(rule.name for rule in was.rules), because, size)
    assert was is not None and will is not None
    said = "; ".join(_otherwise(place, was, will))
    return Change(ref, "~", ", ".join(rule.name for rule in will.rules), said, size) if said else None


def _taking(decision: Decision, tag: Tag, before: Rules) -> str:
    rule = decision.rules[0]
    pattern = rule.tags.taking(tag)
    old = next((each for each in before if each.name == rule.name), None)
    was = f" (was {', '.join(p.text for p in old.tags.patterns)})" if old and old.tags != rule.tags else ""
    return f"tags: {pattern}{was}"


def _lost(was: Decision, place: Place, tag: Tag, after: Rules) -> str:
    """Why the rule of before takes it no more."""
    name = was.rules[0].name
    reason = next((r for r in explain(after, place.registry, place.repository, tag) if r.rule == name), None)
    return reason.words[-1] if reason is not None and reason.words else f"rule {name} is gone"


def _otherwise(place: Place, was: Decision, will: Decision) -> Iterator[str]:
    old, new = _platforms(was), _platforms(will)
    if old != new:
        came, went = sorted(new - old), sorted(old - new)
        yield "platforms " + " ".join([*(f"+{each}" for each in came), *(f"-{each}" for each in went)])
    to_old, to_new = _targets(place, was), _targets(place, will)
    if to_old != to_new:
        yield "to " + ", ".join(to_new)
    for name, of in _GUARDS:
        old_value, new_value = max(map(of, was.rules)), max(map(of, will.rules))
        if old_value != new_value:
            yield f"{name} {new_value or 'none'}"
    if was.companions != will.companions:
        yield "with " + (
            "all" if will.companions.kinds is None else ", ".join(sorted(will.companions.kinds)) or "none"
        )
    if was.data is not will.data:
        yield f"data {will.data.value}"


def _platforms(decision: Decision) -> frozenset[str]:
    return frozenset(map(str, decision.platforms)) if decision.platforms is not None else frozenset({"all"})


def _targets(place: Place, decision: Decision) -> list[str]:
    found, _ = targets(place, decision)
    return sorted(map(str, found))


def _age(rule: Rule) -> str:
    return f"{rule.age / 86400:g}d" if rule.age else ""


def _verify(rule: Rule) -> str:
    return " or ".join(rule.verify.by) if rule.verify is not None else ""


def _fixed(rule: Rule) -> str:
    return ", ".join(each.text for each in rule.fixed.patterns) if rule.fixed is not None else ""


def _hold(rule: Rule) -> str:
    return "" if rule.hold is None else "yes"


_GUARDS = (("age", _age), ("verify", _verify), ("fixed", _fixed), ("hold", _hold))
