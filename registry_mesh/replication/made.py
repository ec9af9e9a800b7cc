"""What a plan knows of tags that rules made of tags of other names: whether a source makes them still, and else why
not."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.replication.decision import Decision, Place, Verdict
from registry_mesh.replication.destinations import Destination
from registry_mesh.replication.listing import Held, HeldPlaces, Recorded
from registry_mesh.replication.rules import Rules


class Away(enum.Enum):
    """Why a source makes a tag no longer; the one that counts of several sources first."""

    UNTOLD = "its source told nothing"
    UNSELECTED = "its source is there, and nothing makes this of it"
    GONE = "its source is gone"


_MAKES: Final = (Verdict.TAKE, Verdict.WAIT, Verdict.REFUSE)


class MadeTargets:
    """Gathers what listings show (`look`, `decided`), then tells of what was made (`away`, `denied`)."""

    def __init__(self, rules: Rules, held: HeldPlaces) -> None:
        self._is_needed = any(tag.made_of for each in held.values() for tag in each.held.values())
        self._rules = rules
        self._listed: dict[Place, frozenset[Tag] | None] = {}
        self._alive: set[str] = set()

    def look(self, recorded: Recorded) -> None:
        """At a repository of a source."""
        if self._is_needed:
            tags = frozenset(recorded.tags) if recorded.error is None and recorded.tags else None
            self._listed[recorded.place] = tags

    def decided(self, to: Destination, decided: Iterable[Decision]) -> None:
        """What a source makes of its tags there, or would if nothing stood in its way."""
        if not self._is_needed:
            return
        for each in decided:
            if each.verdict in _MAKES:
                taken = each.rules if each.verdict is Verdict.TAKE else None
                self._alive |= {to.ref(name) for name in to.of(each.tag, taken)}

    def away(self, place: Place, tag: Tag, known: Held) -> Away | None:
        """Why it is made no longer; None where it is made still."""
        if place.ref(tag) in self._alive:
            return None
        found = {self._why(source, of) for source, of in known.made_of}
        return next(each for each in Away if each in found)

    def _why(self, source: Place, tag: Tag) -> Away:
        if not self._rules.of(source.registry, source.repository):
            return Away.UNSELECTED
        tags = self._listed.get(source)
        if (
            tags is None
        ):  # not listed, an error, or an empty listing where there were tags: neither is a deletion
            return Away.UNTOLD
        return Away.UNSELECTED if tag in tags else Away.GONE

    def denied(self, known: Held, digest: Digest | None) -> str | None:
        """Why one of its sources is denied."""
        for source, of in known.made_of:
            denial = self._rules.denying(source.registry, source.repository, of, digest)
            if denial is not None:
                return f"{source.ref(of)} is denied{f': {denial.note}' if denial.note else ''}"
        return None
