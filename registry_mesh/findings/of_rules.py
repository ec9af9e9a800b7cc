"""Findings about rules and their runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from registry_mesh.findings.facts import NodeFacts
from registry_mesh.findings.finding import Finding
from registry_mesh.findings.words import moment, span

_HOUR: Final = 3600.0
_RUNS_LATE: Final = 4.0
"""Times of a replica's interval after which a run should have been complete; at least an hour."""
_PLACE: Final = re.compile(r"(.+?):(?:\d+:\d+:)? ")


def of_rules(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether the rules can be read, and are held."""
    rules = facts.rules
    if rules.faults:
        yield Finding(
            "rules-invalid",
            f"The rules are not taken since {moment(rules.faults_since, now)}; the old ones stay in force.",
            facts.config,
            rules.faults[:4],
            f"registry-mesh rules lint {_file_of(rules.faults[0])}",
            rules.faults_since,
            hides=not rules.brings_ahead,
        )
    yield from _of_last_run(facts)
    yield from _behind(facts, now)
    if rules.ended and rules.failed:
        yield Finding(
            "replication-behind",
            f"The rules are not held whole: {rules.held} of {rules.tags} tags, {rules.failed} failed.",
            facts.config,
            rules.troubles[:4],
            _again(facts),
            rules.ended,
            hides=not rules.brings_ahead,
        )


def _file_of(fault: str) -> str:
    """The file, or folder, that a fault of FILE:LINE:COLUMN is in."""
    place = _PLACE.match(fault)
    return place[1] if place else "on their folder"


def _of_last_run(facts: NodeFacts) -> Iterator[Finding]:
    """What of it a person should look at."""
    for rule in facts.rules.idle:
        yield Finding(
            "rule-empty",
            f"Rule {rule.name} selects nothing of {rule.registry}.",
            rule.name,
            (f"It stands at {rule.place}; all that {rule.registry} lists was looked at.",),
            f"mend it, or take it out: {rule.place}",
        )
    for stopped in facts.rules.stopped:
        share = f"{stopped.deletes / max(1, stopped.tags):.0%}"
        yield Finding(
            "guard-stopped",
            f"The rules would delete {share} of the tags of {stopped.registry}; the guard is {stopped.guard:.0%}. "
            "Nothing was deleted.",
            stopped.registry,
            (f"{stopped.deletes:,} of {stopped.tags:,} tags.",),
            f"registry-mesh rules approve {stopped.plan} {facts.config}, if that is meant",
        )


def _behind(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether a replica is long without a run that brought all."""
    rules = facts.rules
    if not rules.every or now - rules.complete <= max(_RUNS_LATE * rules.every, _HOUR):
        return
    yield Finding(
        "behind",
        f"No run of the rules was complete for {span(now - rules.complete)}; one is due every {span(rules.every)}.",
        facts.config,
        rules.troubles[:4],
        _again(facts),
        rules.complete,
        hides=True,
    )


def _again(facts: NodeFacts) -> str:
    """What has the rules run again, and says what fails."""
    if facts.rules.brings_ahead:
        return f"nothing: it is tried again; one alone: registry-mesh preload {facts.config} IMAGE"
    return f"registry-mesh replicate {facts.config} --once"
