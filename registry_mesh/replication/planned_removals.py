"""What a plan deletes of what is held: under the names of sources, and under others."""

from __future__ import annotations

from collections.abc import Mapping

from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.replication import sentences
from registry_mesh.replication.decision import Decision, Place, Verdict
from registry_mesh.replication.index import RuleIndex
from registry_mesh.replication.listing import Held, HeldPlaces, Recorded
from registry_mesh.replication.made import Away, MadeTargets
from registry_mesh.replication.plan import Plan, Step, Waiting
from registry_mesh.replication.removal import removal
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.wanted import is_companion


class PlannedRemovals:
    """Adds to a plan what goes, and what waits for that."""

    def __init__(
        self, rules: Rules, index: RuleIndex, held: HeldPlaces, now: float, made: MadeTargets, plan: Plan
    ) -> None:
        self._rules, self._index, self._held, self._now = rules, index, held, now
        self._made, self._plan = made, plan

    def of_source(self, recorded: Recorded, held: Recorded, decided: Mapping[Tag, Decision]) -> None:
        """What is `held` of a repository whose listing is whole, and not wanted under its own names; `decided`: what
        becomes of the tags under these. An empty listing, where there were tags, tells nothing."""
        place = recorded.place
        if held.tags and not recorded.tags:
            name, registry = place.repository, place.registry
            self._plan.troubles.append(sentences.empty(name, registry, len(held.tags)))
            return
        for tag, facts in held.tags.items():
            if _is_made(held, tag) or is_companion(tag):  # a companion goes with its image, uncounted
                continue
            known, decision = held.held.get(tag, Held()), decided.get(tag)
            gone = tag not in recorded.tags and not tag.startswith("@")  # a digest is gone nowhere
            if self._is_denied(place, tag, facts, known) or (not gone and _is_followed(decision)):
                continue
            past = f"{decision.because}; " if decision is not None else ""
            self._away(place, tag, facts, known, gone=gone, past=past)

    def of_unselected(self, own: RegistryName | None) -> None:
        """What is held of repositories of which no rule takes anything. `own`: the registry of which all is the node's
        own."""
        for (registry, name), held in self._held.items():
            if registry == own or self._index.of(registry, name):
                continue
            place = Place(registry, name)
            for tag, facts in held.tags.items():
                if _is_made(held, tag) or is_companion(tag):
                    continue
                known = held.held.get(tag, Held())
                if not self._is_denied(place, tag, facts, known):
                    self._away(place, tag, facts, known, gone=False)

    def _is_denied(self, place: Place, tag: Tag, facts: TagFacts, known: Held) -> bool:
        """Whether it is: then it goes."""
        denial = self._rules.denying(place.registry, place.repository, tag, facts.digest)
        if denial is not None:
            because = f"{place.ref(tag)} is denied{f': {denial.note}' if denial.note else ''}"
            self._delete(place, tag, facts, because, known.rules)
        return denial is not None

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
                    self._delete(place, tag, facts, denied, known.rules)
                elif away in (Away.GONE, Away.UNSELECTED):
                    self._away(place, tag, facts, known, gone=away is Away.GONE)

    def _away(
        self, place: Place, tag: Tag, facts: TagFacts, known: Held, *, gone: bool, past: str = ""
    ) -> None:
        """A held tag that is gone at its source, or that nothing wants: whether it goes, and when."""
        if not known.rules:  # nothing goes that no rule is known to have brought
            return
        since = known.gone if gone else known.unselected
        since = self._now if since is None else since
        here = facts.here if facts.here is not None else self._now
        gone_since, unselected = (since, None) if gone else (None, since)
        found = removal(self._rules, known.rules, gone_since, unselected, here, known.held_until, self._now)
        if found is None:
            return
        if found.due:
            self._delete(place, tag, facts, past + found.because, known.rules)
        elif found.until is not None:
            because = past + found.because
            self._plan.waiting.append(
                Waiting(place.ref(tag), str(facts.digest), found.until, because, known.rules)
            )

    def _delete(self, place: Place, tag: Tag, facts: TagFacts, because: str, rules: tuple[str, ...]) -> None:
        """`rules`: those that wanted it last, which say when it goes."""
        was, ref = str(facts.digest or ""), place.ref(tag)
        self._plan.steps.append(Step(ref, "delete", was=was, size=facts.size, rules=rules, because=because))


def _is_followed(decision: Decision | None) -> bool:
    """Whether rules want it under the name of its source, now or later."""
    return decision is not None and decision.verdict in (Verdict.TAKE, Verdict.WAIT, Verdict.REFUSE)


def _is_made(held: Recorded, tag: Tag) -> bool:
    return tag in held.held and bool(held.held[tag].made_of)
