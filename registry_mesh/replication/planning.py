"""How a plan is made: a pure function of rules, listings, what is held and `now`. Equal inputs give equal plans."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.replication import sentences
from registry_mesh.replication.decision import Decision, TagFacts, Verdict, decide, targets
from registry_mesh.replication.index import RuleIndex
from registry_mesh.replication.listing import HeldPlaces, Recorded
from registry_mesh.replication.made import MadeTargets
from registry_mesh.replication.plan import Conflict, Plan, Refused, Step, Waiting
from registry_mesh.replication.planned_removals import PlannedRemovals
from registry_mesh.replication.removal import guarded
from registry_mesh.replication.rules import Rule, Rules, union
from registry_mesh.replication.terms import Data
from registry_mesh.replication.wanted import is_companion


@dataclass(frozen=True, slots=True)
class Node:
    """Who does it: its name and groups, and the registry under which it keeps all, where it has one of its own."""

    name: str = ""
    groups: tuple[str, ...] = ()
    own: RegistryName | None = None


def plan(
    rules: Rules, listing: Iterable[Recorded], held: HeldPlaces, now: float, node: Node, digest: str
) -> Plan:
    """What `node`, which holds `held`, would do at `now` of what `listing` shows. `digest` is that of the rules."""
    return _Planning(rules, held, now, node, digest).of(listing)


class _Planning:
    def __init__(self, rules: Rules, held: HeldPlaces, now: float, node: Node, digest: str) -> None:
        self._rules, self._held, self._now, self._node = rules, held, now, node
        self._index = RuleIndex(rules, node.name, node.groups)
        self._plan = Plan(node.name, now, digest)
        self._renames = node.own is not None or any(rule.to for rule in rules)
        self._made = MadeTargets(rules, node.own, held)
        self._going = PlannedRemovals(rules, held, now, self._made, self._plan)
        self._writers: dict[str, list[tuple[Step, int, str]]] = {}
        self._filled: set[str] = set()
        self._blobs: dict[str, Mapping[str, int]] = {}
        self._here: dict[RegistryName | None, set[int]] = {None: set()}
        self._listed: dict[str, float] = {}
        self._hold(held)

    def _hold(self, held: HeldPlaces) -> None:
        """Note which blobs are here, and which at registries that rules push to."""
        pushed = {to.registry for rule in self._rules for to in rule.to} - {*self._rules.registries}
        for (registry, _), each in held.items():
            here = self._here.setdefault(registry if registry in pushed else None, set())
            here.update(key(digest) for weight in each.weights.values() for digest in weight.blobs)

    def of(self, listing: Iterable[Recorded]) -> Plan:
        plan = self._plan
        for recorded in listing:
            self._repository(recorded)
        self._going.of_made()
        self._resolve_conflicts()
        plan.steps.sort(key=_place_of)
        for each in (plan.waiting, plan.refused, plan.conflicts, plan.unknown, plan.troubles):
            each.sort()
        plan.steps = self._weighed(plan.steps)
        plan.sources = sorted(self._listed.items())
        self._guard()
        return plan

    def _repository(self, recorded: Recorded) -> None:
        place, held = recorded.place, self._held.get((recorded.place.registry, recorded.place.repository))
        known = self._listed.get(place.registry, recorded.listed_at)
        self._listed[place.registry] = min(known, recorded.listed_at)
        before = held.tags if held is not None else {}
        if recorded.error is not None:
            self._plan.troubles.append(f"{place.registry}/{place.repository}: {recorded.error}")
            self._made.look(recorded, ())
            return
        of = self._index.of(place.registry, place.repository)
        tags = {tag: _with(facts, before.get(tag)) for tag, facts in recorded.tags.items()}
        decided = decide(place, self._rules, of, tags, self._now) if of else {}
        self._made.look(recorded, decided.values())
        for tag, decision in decided.items():
            self._tag(recorded, decision, tags[tag])
        if held is not None:
            self._going.of_source(place, held, recorded, decided)

    def _tag(self, recorded: Recorded, decision: Decision, facts: TagFacts) -> None:
        ref = recorded.place.ref(decision.tag)
        names = tuple(sorted(rule.name for rule in decision.rules))
        match decision.verdict:
            case Verdict.WAIT:
                until = decision.until if decision.until is not None else self._now
                self._plan.waiting.append(Waiting(ref, str(facts.digest), until, decision.because, names))
            case Verdict.REFUSE | Verdict.DENY:
                self._plan.refused.append(Refused(ref, names, decision.because))
            case Verdict.TAKE:
                self._plan.unknown += [(ref, each) for each in decision.unknown]
                self._take(recorded, decision, facts, ref, names)

    def _take(
        self, recorded: Recorded, decision: Decision, facts: TagFacts, ref: str, names: tuple[str, ...]
    ) -> None:
        if not self._renames:
            there = self._held.get((recorded.place.registry, recorded.place.repository))
            moved = facts.held is None or facts.held != facts.digest
            if moved or self._lacks(there, decision.tag, recorded, decision.tag, decision.rules):
                self._weigh(recorded, decision, ref)
                self._plan.steps.append(_step(recorded, decision, facts, ref, ref, names))
            return
        places, faults = targets(recorded.place, decision, self._node.own)
        self._plan.refused += [Refused(ref, names, fault) for fault in faults]
        self._weigh(recorded, decision, ref)
        for named in places:
            to, tag = str(named), named.tag
            there = self._held.get((named.registry, named.repository))
            was = there.tags[tag].digest if there is not None and tag in there.tags else None
            by = tuple(sorted({rule.name for rule in named.by}))
            step = _step(recorded, decision, replace(facts, held=was), ref, to, by)
            if self._lacks(there, named.tag, recorded, decision.tag, named.by):
                self._filled.add(to)
            if named.is_outward:
                step = replace(step, do="push")
            self._writers.setdefault(to, []).append((step, named.rule.priority.rank, named.rule.name))

    def _weigh(self, recorded: Recorded, decision: Decision, ref: str) -> None:
        wanted = _wanted(recorded, decision.tag, decision.rules)
        if wanted is not None:
            self._blobs[ref] = wanted

    def _lacks(
        self, there: Recorded | None, tag: Tag, source: Recorded, of: Tag, rules: Collection[Rule]
    ) -> bool:
        """Whether `tag` is held in part, and `rules` want more of `of`, which it was made of."""
        if there is None or tag not in there.partial:
            return False
        here = self._here[None]
        return any(key(digest) not in here for digest in _wanted(source, of, rules) or ())

    def _resolve_conflicts(self) -> None:
        """The same digest is one copy; of different ones the higher priority writes, of equal ones none."""
        for to, writers in self._writers.items():
            best = max(rank for _, rank, _ in writers)
            first = sorted(each for each in writers if each[1] == best)
            names = tuple(sorted({name for step, _, _ in writers for name in step.rules}))
            if len({step.digest for step, _, _ in writers}) > 1:
                stopped = len({step.digest for step, _, _ in first}) > 1
                told = sorted((name, step.source) for step, _, name in writers)
                short = to.partition("/")[2]
                self._plan.conflicts.append(
                    Conflict(to, tuple(ref for _, ref in told), sentences.conflict(short, told), stopped)
                )
                if stopped:
                    continue
                names = tuple(sorted({name for step, _, _ in first for name in step.rules}))
            step = first[0][0]
            if step.was != step.digest or to in self._filled:
                self._plan.steps.append(replace(step, rules=names))

    def _weighed(self, steps: list[Step]) -> list[Step]:
        """With what is new of each: an object counts once, at the first step that needs it; at one that pushes it out
        once for coming here, and once for going there."""
        found = []
        for step in steps:
            blobs = self._blobs.get(step.source)
            if step.do == "delete" or blobs is None:
                if step.size is None and step.do != "delete":
                    self._plan.unknown.append((step.source, "size"))
                found.append(step if step.do == "delete" else step.bringing(step.size))
                continue
            found.append(step.bringing(self._new(step, blobs)))
        return found

    def _new(self, step: Step, blobs: Mapping[str, int]) -> int:
        """Bytes that a step moves, of blobs that no step before it moved."""
        here = self._here[None]
        if step.do != "push":
            return _first(here, blobs)
        there = self._here.setdefault(RegistryName(step.to.partition("/")[0]), set())
        lacking = {digest: size for digest, size in blobs.items() if key(digest) not in there}
        return _first(there, lacking) + _first(here, lacking)

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
        plan.guard = guarded(tags, deletes, {}, self._rules.guard)
        stopped = {each.registry for each in plan.guard if each.stopped}
        plan.withheld = [step for step in going if step.to.partition("/")[0] in stopped]
        if plan.withheld:
            withheld = {step.to for step in plan.withheld}
            plan.steps = [s for s in plan.steps if not (s.to in withheld and _is_guarded(s))]


_place_of: Final = attrgetter("to", "do", "source", "digest")
"""No two steps of a plan have all of these."""


def _first(known: set[int], blobs: Mapping[str, int]) -> int:
    """Bytes of those that are not `known` yet; from now on they are."""
    new = 0
    for digest, size in blobs.items():
        if (short := key(digest)) not in known:
            known.add(short)
            new += size
    return new


def _is_guarded(step: Step) -> bool:
    return step.do == "delete" and " is denied" not in step.because


def _with(facts: TagFacts, held: TagFacts | None) -> TagFacts:
    return facts if held is None else replace(facts, held=held.digest, here=held.here)


def _wanted(recorded: Recorded, tag: Tag, rules: Collection[Rule]) -> Mapping[str, int] | None:
    """The blobs that `rules` want of a tag; None is not known."""
    if not any(rule.data is Data.FULL for rule in rules):
        return {}
    weight = recorded.weights.get(tag)
    return None if weight is None else weight.of(union(rule.platforms for rule in rules))


def _step(
    recorded: Recorded, decision: Decision, facts: TagFacts, source: str, to: str, names: tuple[str, ...]
) -> Step:
    wanted = decision.platforms
    platforms = None if wanted is None else tuple(sorted(map(str, wanted)))
    weight = recorded.weights.get(decision.tag)
    size = facts.size if weight is None else sum(weight.of(wanted).values())
    was = "" if facts.held is None else str(facts.held)
    do = "move" if was and facts.held != facts.digest else "copy"
    return Step(to, do, source, str(facts.digest or ""), was, size, None, platforms, names)


def key(digest: str) -> int:
    """A digest in few bytes; 96 of its bits."""
    return int(digest[-24:], 16)
