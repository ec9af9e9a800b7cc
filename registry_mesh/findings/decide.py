"""From facts to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from registry_mesh.findings.facts import NodeFacts
from registry_mesh.findings.finding import NAMES, Finding, worst_first
from registry_mesh.findings.of_node import (
    of_access,
    of_certificates,
    of_files,
    of_program,
    of_store,
    of_webhooks,
)
from registry_mesh.findings.of_parents import of_parents
from registry_mesh.findings.of_pulls import of_pulls
from registry_mesh.findings.of_rules import of_rules
from registry_mesh.findings.of_surroundings import of_surroundings

_CHECKS: Final[Sequence[Callable[[NodeFacts, float], Iterator[Finding]]]] = (
    of_surroundings,
    of_parents,
    of_pulls,
    of_store,
    of_program,
    of_certificates,
    of_access,
    of_files,
    of_rules,
    of_webhooks,
)
_HOLD: Final = {
    "offline": 5.0,
    "own-link-down": 5.0,
    "clock-off": 5.0,
    "pulls-fail": 60.0,
    "grace-ending": 5.0,
    "parent-down": 5.0,
    "parent-stale": 5.0,
    "loop": 5.0,
    "tls-untrusted": 5.0,
    "parent-denied": 5.0,
    "files-invalid": 5.0,
    "audit-held": 5.0,
    "webhook-down": 60.0,
    "memory-low": 120.0,
    "store-slow": 300.0,
}
"""Seconds for which it must be so before it is said. It ends after twice that, so that nothing flickers."""

LOOKED_AT: Final = len(NAMES)
"""Things that are looked at."""


def decide(facts: NodeFacts, now: float) -> list[Finding]:
    """All that is so at `now`, in seconds since the epoch; one for each name and subject, the worst first."""
    found: dict[tuple[str, str], Finding] = {}
    for check in _CHECKS:
        for finding in check(facts, now):
            key = (finding.name, finding.subject)
            first = found.setdefault(key, finding)
            more = [each for each in finding.registries if each not in first.registries]
            if more:
                found[key] = replace(first, registries=(*first.registries, *more))
    return worst_first(list(found.values()))


@dataclass(slots=True)
class Held:
    """Findings as they are said: each begins after its hold time, and ends after twice that."""

    _known: dict[tuple[str, str], tuple[Finding, float, float]] = field(default_factory=dict)
    """By name and subject: the finding, when it was first and last so."""
    _said: set[tuple[str, str]] = field(default_factory=set)

    def look(self, found: Sequence[Finding], now: float) -> list[Finding]:
        """What is said at `now`, of what was found then and before."""
        for finding in found:
            key = (finding.name, finding.subject)
            first = self._known[key][1] if key in self._known else now
            self._known[key] = (replace(finding, since=min(finding.since or first, first)), first, now)
        for key, (_, first, last) in list(self._known.items()):
            hold = _HOLD.get(key[0], 0.0)
            if last == now and now - first >= hold:
                self._said.add(key)
            elif last < now and (now - last >= 2 * hold or key not in self._said):
                self._said.discard(key)
                del self._known[key]
        return worst_first([self._known[key][0] for key in self._said])
