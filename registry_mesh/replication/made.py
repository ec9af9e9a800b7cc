"""What a plan knows of tags that rules made of tags of other names: whether a source makes them still, and else why
not."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.replication.decision import Decision, Place, Verdict, targets
from registry_mesh.replication.listing import Held, HeldPlaces, Recorded
from registry_mesh.replication.rules import Rules


class Away(enum.Enum):
    """Why a source makes a tag no longer; the one that counts of several sources first."""

    UNTOLD = "its source told nothing"
    UNSELECTED = "its source is there, and nothing makes this of it"
    GONE = "its source is gone"


_MAKES: Final = (Verdict.TAKE, Verdict.WAIT, Verdict.REFUSE)


class MadeTargets:
    """Gathers what listings show (`look`), then tells of what was made (`away`, `denied`). `own`: the registry of a
    node that keeps all under one of its own."""

    def __init__(
        self,
        rules: Rules,
        own: RegistryName | None,
        held: HeldPlaces,
    ) -> None:
        self._is_needed = any(tag.made_of for each in held.values() for tag in each.held.values())
        self._rules = rules
        self._own = own
        self._listed: dict[Place, frozenset[Tag] | None] = {}
        self._alive: set[str] = set()

    def look(self, recorded: Recorded, decided: Iterable[Decision]) -> None:
        """At a repository of a source: what it makes, or would if nothing stood in its way."""
        if not self._is_needed:
            return
        place = recorded.place
        self._listed[place] = frozenset(recorded.tags) if recorded.error is None and recorded.tags else None
        for decision in decided:
            if decision.verdict in _MAKES:
                self._alive |= {str(each) for each in targets(place, decision, self._own)[0]}

    def away(self, place: Place, tag: Tag, known: Held) -> Away | None:
        """Why it is made no longer; None where it is made still."""
        if place.ref(tag) in self._alive:
            return None
        found = {self._why(source, of) for source, of in known.made_of}
        return next(each for each in Away if each in found)

    def _why(self, source: Place, tag: Tag) -> Away:
        if source not in self._listed:
            taken = self._rules.of(source.registry, source.repository)
            return Away.UNTOLD if taken else Away.UNSELECTED
        tags = self._listed[source]
        if tags is None:  # an error, or an empty listing where there were tags: neither is a deletion
            return Away.UNTOLD
        return Away.UNSELECTED if tag in tags else Away.GONE

    def denied(self, known: Held, digest: Digest | None) -> str | None:
        """Why one of its sources is denied."""
        for source, of in known.made_of:
            denial = self._rules.denying(source.registry, source.repository, of, digest)
            if denial is not None:
                return f"{source.ref(of)} is denied{f': {denial.note}' if denial.note else ''}"
        return None
