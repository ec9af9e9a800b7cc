"""Findings about what clients get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from registry_mesh.findings.facts import NodeFacts
from registry_mesh.findings.finding import Finding

_SLOW: Final = 0.1
"""Seconds to the head of an answer from what is held."""
_LEAST_HITS: Final = 100
_SHARE: Final = 0.01
_LEAST: Final = 10
"""Failures that are worth a word."""


def of_pulls(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether what is asked for is answered."""
    pulls = facts.pulls
    yield from _hits(facts)
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


def _hits(facts: NodeFacts) -> Iterator[Finding]:
    """Whether what is held is answered quickly."""
    pulls = facts.pulls
    if pulls.hits < _LEAST_HITS or pulls.hit_seconds <= _SLOW:
        return
    yield Finding(
        "hits-slow",
        f"What is held takes {pulls.hit_seconds * 1000:.0f} ms to its first byte (p99).",
        evidence=(f"{pulls.hits:,} answers within ten minutes.",),
        next="its disk or its processors are too busy: iostat -x 1, top",
    )
