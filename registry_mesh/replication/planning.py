"""How a plan is made: a pure function of rules, listings, what is held and `now`. Equal inputs give equal plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.replication.deciding import AtDestination, at_destinations
from registry_mesh.replication.decision import Decision, Verdict
from registry_mesh.replication.destinations import Destination, destinations
from registry_mesh.replication.index import RuleIndex
from registry_mesh.replication.listing import Beside, HeldPlaces, Recorded
from registry_mesh.replication.made import MadeTargets
from registry_mesh.replication.plan import Plan, Refused, Step, Waiting
from registry_mesh.replication.planned_bytes import PlannedBytes, wanted
from registry_mesh.replication.planned_removals import PlannedRemovals
from registry_mesh.replication.planned_writers import Writer, Writers
from registry_mesh.replication.removal import guarded
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.wanted import is_companion


@dataclass(frozen=True, slots=True)
class Node:
    """Who does it: its name and groups, and the registry under which it keeps all, where it has one of its own."""

    name: str = ""
    groups: tuple[str, ...] = ()
    own: RegistryName | None = None


def plan(
    rules: Rules,
    listing: Iterable[Recorded],
    held: HeldPlaces,
    now: float,
    node: Node,
    digest: str,
    beside: Beside | None = None,
) -> Plan:
    """What `node`, which holds `held` and what is `beside` that, would do at `now` of what `listing` shows. `digest` is
    that of the rules."""
    mine = tuple(rule for rule in rules if not node.name or rule.is_for(node.name, node.groups))
    return _Planning(replace(rules, rules=mine), held, now, node, digest, beside or Beside()).of(listing)


class _Planning:
    def __init__(
        self, rules: Rules, held: HeldPlaces, now: float, node: Node, digest: str, beside: Beside
    ) -> None:
        self._rules, self._held, self._now, self._node = rules, held, now, node
        self._index = RuleIndex(rules, node.name, node.groups)
        self._plan = Plan(node.name, now, digest)
        self._renames = node.own is not None or any(rule.to for rule in rules)
        self._made = MadeTargets(rules, held)
        self._going = PlannedRemovals(rules, self._index, held, now, self._made, self._plan)
        self._writers = Writers()
        pushed = {to.registry for rule in rules for to in rule.to if to.registry is not None}
        self._weights = PlannedBytes(held, pushed - {*rules.registries})
        self._weights.have(beside.untagged)
        self._lately = beside.deleted
        self._listed: dict[str, float] = {}

    def of(self, listing: Iterable[Recorded]) -> Plan:
        plan = self._plan
        for recorded in listing:
            self._repository(recorded)
        self._going.of_unselected(self._node.own)
        self._going.of_made()
        plan.steps += self._writers.steps(plan, self._weights)
        plan.steps.sort(key=_place_of)
        self._weights.weigh(plan.steps, plan)
        plan.waiting, plan.refused = _waiting_once(plan.waiting), _refused_once(plan.refused)
        plan.unknown = sorted(set(plan.unknown))
        plan.conflicts.sort()
        plan.troubles.sort()
        plan.sources = sorted(self._listed.items())
        self._guard()
        return plan

    def _repository(self, recorded: Recorded) -> None:
        place, held = recorded.place, self._held.get((recorded.place.registry, recorded.place.repository))
        known = self._listed.get(place.registry, recorded.listed_at)
        self._listed[place.registry] = min(known, recorded.listed_at)
        self._made.look(recorded)
        if recorded.error is not None:
            self._plan.troubles.append(f"{place.registry}/{place.repository}: {recorded.error}")
            return
        of = self._index.of(place.registry, place.repository)
        several, unnamed = destinations(place, of, recorded.tags, self._node.own)
        self._plan.refused += [Refused(place.ref(tag), (rule.name,), why) for tag, rule, why in unnamed]
        followed: dict[Tag, Decision] = {}
        for at in at_destinations(self._rules, recorded, several, self._held, self._now):
            self._destination(recorded, at)
            to = at.to
            if (to.registry, to.repository, to.is_outward) == (place.registry, place.repository, False):
                followed = {tag: each for tag, each in at.decided.items() if _keeps_name(to, each)}
        if held is not None and of:
            self._going.of_source(recorded, held, followed)

    def _destination(self, recorded: Recorded, at: AtDestination) -> None:
        there = self._held.get((at.to.registry, at.to.repository))
        for tag, decision in at.decided.items():
            self._tag(recorded, there, at.to, decision, at.facts[tag])
        self._made.decided(at.to, at.decided.values())

    def _tag(
        self, recorded: Recorded, there: Recorded | None, to: Destination, decision: Decision, facts: TagFacts
    ) -> None:
        ref = recorded.place.ref(decision.tag)
        match decision.verdict:
            case Verdict.WAIT:
                until = decision.until if decision.until is not None else self._now
                because = decision.because
                self._plan.waiting.append(
                    Waiting(ref, str(facts.digest), until, because, _named(decision.rules))
                )
            case Verdict.REFUSE | Verdict.DENY:
                self._plan.refused.append(Refused(ref, _named(decision.rules), decision.because))
            case Verdict.TAKE:
                self._plan.unknown += [(ref, each) for each in decision.unknown]
                self._take(recorded, there, to, decision, facts, ref)

    def _take(
        self,
        recorded: Recorded,
        there: Recorded | None,
        to: Destination,
        decision: Decision,
        facts: TagFacts,
        ref: str,
    ) -> None:
        """Every step that makes it; where nothing has another name, those that are needed alone."""
        tag, blobs = decision.tag, wanted(recorded, decision.tag, decision.rules)
        for name in to.of(tag, decision.rules):
            target = ref if not self._renames else to.ref(name)
            was = there.tags[name].digest if there is not None and name in there.tags else None
            at = to.registry if to.is_outward else None
            fills = there is not None and name in there.partial and self._weights.lacks(blobs, at)
            if not self._renames and not fills and was is not None and was == facts.digest:
                continue
            rules = to.by(tag, name, decision.rules)
            step = _step(recorded, decision, replace(facts, held=was), ref, target, _named(rules))
            self._weights.want(ref, target, blobs)
            if not self._renames:
                self._plan.steps.append(step)
                continue
            step = replace(step, do="push") if to.is_outward else step
            self._writers.add(Writer(step, rules, fills))

    def _guard(self) -> None:
        """Beyond the guard none of a registry's tags goes; what is denied goes all the same."""
        plan = self._plan
        tags: dict[str, int] = {}
        for (kept_of, _), held in self._held.items():
            tags[kept_of] = tags.get(kept_of, 0) + sum(not is_companion(tag) for tag in held.tags)
        going = [step for step in plan.steps if _is_guarded(step)]
        deletes: dict[str, int] = {}
        for step in going:
            registry = step.to.partition("/")[0]
            deletes[registry] = deletes.get(registry, 0) + 1
        plan.guard = guarded(tags, deletes, self._lately, self._rules.guard)
        stopped = {each.registry for each in plan.guard if each.stopped}
        plan.withheld = [step for step in going if step.to.partition("/")[0] in stopped]
        if plan.withheld:
            withheld = {step.to for step in plan.withheld}
            plan.steps = [s for s in plan.steps if not (s.to in withheld and _is_guarded(s))]


_place_of: Final = attrgetter("to", "do", "source", "digest")
"""No two steps of a plan have all of these."""


def _keeps_name(to: Destination, decision: Decision) -> bool:
    """Whether a tag of a repository that keeps its own name keeps its too; one that is past its newest is told so."""
    taken = decision.rules if decision.verdict is Verdict.TAKE else None
    return decision.verdict is Verdict.PAST or decision.tag in to.of(decision.tag, taken)


def _named(rules: Iterable[Rule]) -> tuple[str, ...]:
    return tuple(sorted({rule.name for rule in rules}))


def _waiting_once(several: list[Waiting]) -> list[Waiting]:
    """What waits for several destinations with one reason is one."""
    once: dict[tuple[str, str, float, str], Waiting] = {}
    for each in several:
        first = once.setdefault((each.ref, each.digest, each.until, each.because), each)
        if first.rules != each.rules:
            both = tuple(sorted({*first.rules, *each.rules}))
            once[each.ref, each.digest, each.until, each.because] = replace(first, rules=both)
    return sorted(once.values())


def _refused_once(several: list[Refused]) -> list[Refused]:
    """What is refused at several destinations with one reason is one."""
    once: dict[tuple[str, str], Refused] = {}
    for each in several:
        first = once.setdefault((each.ref, each.because), each)
        if first.rules != each.rules:
            both = tuple(sorted({*first.rules, *each.rules}))
            once[each.ref, each.because] = replace(first, rules=both)
    return sorted(once.values())


def _is_guarded(step: Step) -> bool:
    return step.do == "delete" and " is denied" not in step.because


def _step(
    recorded: Recorded, decision: Decision, facts: TagFacts, source: str, to: str, names: tuple[str, ...]
) -> Step:
    chosen = decision.platforms
    platforms = None if chosen is None else tuple(sorted(map(str, chosen)))
    weight = recorded.weights.get(decision.tag)
    size = facts.size if weight is None else sum(weight.of(chosen).values())
    was = "" if facts.held is None else str(facts.held)
    do = "move" if was and facts.held != facts.digest else "copy"
    return Step(to, do, source, str(facts.digest or ""), was, size, None, platforms, names)
