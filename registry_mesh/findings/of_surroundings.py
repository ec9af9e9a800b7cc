"""Findings about what all parents together show of this node: its link, its clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from registry_mesh.findings.facts import NodeFacts, ParentFacts
from registry_mesh.findings.finding import Finding
from registry_mesh.findings.words import moment, size, span

_TOGETHER: Final = 60.0
"""Seconds within which parents went that went for one cause."""
_SHOWS_A_LINK: Final = ("answered", "certificate", "leads back", "login", "credentials")
_MEMORY: Final = 0.9
"""The share of the limit that may be used."""
_READS: Final = 100
_SLOW_READ: Final = 0.05
"""Seconds that a read takes where a disk is too busy: far over the seek of any."""
_BUSY: Final = 0.9
_NODES: Final = 3
_ASKED: Final = 10
"""Nodes, or requests within an hour, from which on a registry is missed and not only misspelled."""
_TOLD: Final = 4
"""Registries that are told of: clients choose these names."""
_OFF: Final = 60.0
"""Seconds by which a clock may be wrong."""


def of_surroundings(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether the fault is nearer than the parents are."""
    parents = list(
        {parent.name: parent for registry in facts.registries for parent in registry.parents}.values()
    )
    yield from _link(parents, facts.config, now)
    yield from _clock(parents)
    yield from _memory(facts)
    yield from _disk(facts)
    yield from _audit(facts)
    yield from _unserved(facts)


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


def _memory(facts: NodeFacts) -> Iterator[Finding]:
    """Whether the kernel is about to end a process for want of memory."""
    memory = facts.memory
    if not memory.limit or memory.used <= _MEMORY * memory.limit:
        return
    yield Finding(
        "memory-low",
        f"{memory.used / memory.limit:.0%} of the memory limit is used.",
        evidence=(
            f"{size(memory.used)} of {size(memory.limit)}, without files that the kernel would give back; "
            "beyond the limit it ends a process.",
        ),
        next="a higher limit: resources.limits.memory of the chart, or MemoryMax= of the unit; or fewer workers",
    )


def _audit(facts: NodeFacts) -> Iterator[Finding]:
    """Whether what changes is written down."""
    audit = facts.audit
    if not audit.held and not audit.lost:
        return
    lost = f"{audit.lost:,} {'is' if audit.lost == 1 else 'are'} lost"
    if audit.held:
        held = f"{audit.held:,} line{' is' if audit.held == 1 else 's are'} held"
        what = f"The audit log's disk takes nothing: {held}{f', {lost}' if audit.lost else ''}."
    else:
        what = f"{lost.replace(' ', ' line ' if audit.lost == 1 else ' lines ', 1)}: the audit log's disk took nothing."
    yield Finding(
        "audit-held",
        what,
        audit.file,
        (
            "What is held is written once the disk takes it; what a process holds goes with it where it is killed.",
        ),
        f"room on the disk of {audit.file}",
    )


def _disk(facts: NodeFacts) -> Iterator[Finding]:
    """Whether reading what is held takes long because the disk has too much to do."""
    disk = facts.disk
    if disk.reads < _READS or disk.read_seconds < _SLOW_READ or disk.busy < _BUSY:
        return
    yield Finding(
        "store-slow",
        f"The disk takes {disk.read_seconds * 1000:.0f} ms a read; {disk.device} is {disk.busy:.0%} busy.",
        facts.store.where,
        (f"{disk.reads:,} reads within {span(disk.seconds)}, of whichever program.",),
        f"a disk of its own for the store; who reads and writes says: iotop, or iostat -x 1 {disk.device}",
    )


def _unserved(facts: NodeFacts) -> Iterator[Finding]:
    """Whether nodes are led here for what is not here. A slip of the fingers is none."""
    asked = [each for each in facts.unserved if each.clients >= _NODES or each.requests >= _ASKED]
    for each in sorted(asked, key=lambda one: (-one.clients, -one.requests, one.registry))[:_TOLD]:
        who = "One node asks" if each.clients == 1 else f"{each.clients:,} nodes ask"
        yield Finding(
            "unknown-registry",
            f"{who} for {each.registry}, which is not served here.",
            each.registry,
            (f"{each.requests:,} requests were answered 404; each node went on to its next server.",),
            f"serve it: registries of {facts.config}; or lead them elsewhere: their hosts.toml or registries.conf",
            each.since,
        )
