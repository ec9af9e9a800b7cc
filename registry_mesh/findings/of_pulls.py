"""Findings about what clients get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from registry_mesh.findings.facts import NodeFacts
from registry_mesh.findings.finding import Finding

_SHARE: Final = 0.01
_LEAST: Final = 10
"""Failures that are worth a word."""


def of_pulls(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether what is asked for is answered."""
    pulls = facts.pulls
    if pulls.failures < _LEAST or pulls.failures <= _SHARE * pulls.requests:
        return
    share = min(1.0, pulls.failures / max(1, pulls.requests))
    yield Finding(
        "pulls-fail",
        f"{share:.1%} of what is asked for fails, by no fault of the callers: {pulls.reasons[0]}.",
        evidence=(f"{pulls.failures} of {pulls.requests} requests within 30 s.", *pulls.reasons[1:4]),
        next="the finding of the reason; /api/1/events names the images",
        since=now,
    )
