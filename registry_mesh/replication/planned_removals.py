"""What a plan deletes of what is held: under the names of sources, and under others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from registry_mesh.oci.reference import Tag
from registry_mesh.replication import sentences
from registry_mesh.replication.decision import Decision, Place, TagFacts, Verdict, targets
from registry_mesh.replication.listing import Held, HeldPlaces, Recorded
from registry_mesh.replication.made import Away, MadeTargets
from registry_mesh.replication.plan import Plan, Step, Waiting
from registry_mesh.replication.removal import removal
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.wanted import is_companion


class PlannedRemovals:
    """Adds to a plan what goes, and what waits for that."""

    def __init__(self, rules: Rules, held: HeldPlaces, now: float, made: MadeTargets, plan: Plan) -> None:
        self._rules, self._held, self._now = rules, held, now
        self._made, self._plan = made, plan

    def of_source(
        self, place: Place, held: Recorded, recorded: Recorded, decided: Mapping[Tag, Decision]
    ) -> None:
        """What is held of a repository whose listing is whole. An empty one, where there were tags, tells nothing."""
        if held.tags and not recorded.tags:
            name, registry = place.repository, place.registry
            self._plan.troubles.append(sentences.empty(name, registry, len(held.tags)))
            return
        for tag, facts in held.tags.items():
            if _is_made(held, tag) or is_companion(tag):  # a companion goes with its image, uncounted
                continue
            decision = decided.get(tag)
            gone = tag not in recorded.tags and not tag.startswith("@")  # a digest is gone nowhere
            if decision is not None and decision.verdict is Verdict.DENY and not gone:
                self._delete(place, tag, facts, decision.because)
                continue
            if not gone and decision is not None and _is_followed(place, decision):
                continue
            known = held.held.get(tag, Held())
            by = known.rules or tuple(rule.name for rule in (decision.rules if decision is not None else ()))
            past = f"{decision.because}; " if decision is not None else ""
            self._away(place, tag, facts, replace(known, rules=by), gone=gone, past=past)

    def of_made(self) -> None:
        """What was made under other names, here or at registries that are pushed to, and no source makes any more."""
        for (registry, name), held in self._held.items():
            place = Place(registry, name)
            for tag, facts in held.tags.items():
                if not _is_made(held, tag) or is_companion(tag):
                    continue
                known = held.held[tag]
                away = self._made.away(place, tag, known)
                denied = self._made.denied(known, facts.digest) if away is not None else None
                if denied is not None:
                    self._delete(place, tag, facts, denied)
                elif away in (Away.GONE, Away.UNSELECTED):
                    self._away(place, tag, facts, known, gone=away is Away.GONE)

    def _away(
        self, place: Place, tag: Tag, facts: TagFacts, known: Held, *, gone: bool, past: str = ""
    ) -> None:
        """A held tag that is gone at its source, or that nothing wants: whether it goes, and when."""
        since = known.gone if gone else known.unselected
        since = self._now if since is None else since
        here = facts.here if facts.here is not None else self._now
        gone_since, unselected = (since, None) if gone else (None, since)
        found = removal(self._rules, known.rules, gone_since, unselected, here, known.held_until, self._now)
        if found is None:
            return
        if found.due:
            self._delete(place, tag, facts, past + found.because)
        elif found.until is not None:
            because = past + found.because
            self._plan.waiting.append(
                Waiting(place.ref(tag), str(facts.digest), found.until, because, known.rules)
            )

    def _delete(self, place: Place, tag: Tag, facts: TagFacts, because: str) -> None:
        was = str(facts.digest or "")
        self._plan.steps.append(Step(place.ref(tag), "delete", was=was, size=facts.size, because=because))


def _is_followed(place: Place, decision: Decision) -> bool:
    """Whether rules want it under the name of its source; one that they only want under others is not wanted there."""
    if decision.verdict is Verdict.PAST:
        return False
    if not any(rule.to for rule in decision.rules):
        return True
    own = place.ref(decision.tag)
    return any(str(each) == own for each in targets(place, decision)[0])


def _is_made(held: Recorded, tag: Tag) -> bool:
    return tag in held.held and bool(held.held[tag].made_of)
