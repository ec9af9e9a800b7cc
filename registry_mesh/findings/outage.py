"""A registry of which no parent gives anything: since when, in which way, and how long its tags are answered yet."""

from __future__ import annotations

from dataclasses import dataclass

from registry_mesh.findings.facts import RegistryFacts


@dataclass(frozen=True, slots=True)
class Outage:
    """Of one registry. Times are in seconds since the epoch."""

    since: float
    silent: bool
    """None of its parents gives any answer: offline. Otherwise one at least answers, with errors."""
    answered: float
    """When a parent was well last."""
    grace: float
    """Seconds for which tags are answered from then on."""

    @property
    def ends(self) -> float:
        """When no tag is answered any more; one that was confirmed before `answered` ends earlier."""
        return self.answered + self.grace


def outage_of(registry: RegistryFacts) -> Outage | None:
    """That of a registry; None while a parent is asked."""
    parents = registry.parents
    if not parents or any(parent.usable for parent in parents):
        return None
    since, silent = max(parent.since for parent in parents), all(parent.lost for parent in parents)
    grace = registry.grace if silent else registry.grace_among_errors
    return Outage(since, silent, registry.answered or since, grace)
