"""Findings about what all parents together show of this node: its link, its clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from registry_mesh.findings.facts import NodeFacts, ParentFacts
from registry_mesh.findings.finding import Finding
from registry_mesh.findings.words import moment, span

_TOGETHER: Final = 60.0
"""Seconds within which parents went that went for one cause."""
_SHOWS_A_LINK: Final = ("answered", "certificate", "leads back", "login", "credentials")
_OFF: Final = 60.0
"""Seconds by which a clock may be wrong."""


def of_surroundings(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether the fault is nearer than the parents are."""
    parents = list(
        {parent.name: parent for registry in facts.registries for parent in registry.parents}.values()
    )
    yield from _link(parents, facts.config, now)
    yield from _clock(parents)


def _link(parents: list[ParentFacts], config: str, now: float) -> Iterator[Finding]:
    """Parents at several hosts do not go at once by themselves."""
    hosts = {parent.name.rpartition(":")[0] or parent.name for parent in parents}
    if len(hosts) < 2 or not all(_is_away(parent) for parent in parents):
        return
    first, last = (pick(parent.since for parent in parents) for pick in (min, max))
    if last - first > _TOGETHER:
        return
    since = moment(last, now)
    yield Finding(
        "own-link-down",
        f"None of {len(parents)} parents answers since {since}, all at once: look at this node's own link first.",
        evidence=tuple(f"{parent.name} {parent.why}." for parent in parents[:4]),
        next=f"the network team, with registry-mesh probe {config}",
        since=last,
    )


def _is_away(parent: ParentFacts) -> bool:
    """Whether nothing came from it that shows a link."""
    return (
        parent.lost
        and parent.state in ("down", "silent")
        and not any(word in parent.why for word in _SHOWS_A_LINK)
    )


def _clock(parents: list[ParentFacts]) -> Iterator[Finding]:
    """Clocks of several parents are not wrong by the same."""
    told = [parent for parent in parents if parent.clock_ahead is not None]
    off = [parent.clock_ahead or 0.0 for parent in told]
    if not off or min(map(abs, off)) <= _OFF or len({each > 0 for each in off}) > 1:
        return
    word = "ahead of" if off[0] > 0 else "behind"
    all_parents = "all parents'" if len(told) > 1 else f"that of {told[0].name}"
    yield Finding(
        "clock-off",
        f"This clock is {span(min(map(abs, off)))} {word} {all_parents}.",
        evidence=tuple(f"{p.name}: {span(abs(p.clock_ahead or 0.0))}." for p in told[:4]),
        next="chronyc makestep",
    )
