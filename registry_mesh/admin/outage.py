"""A registry of which no parent gives anything, as `/status` tells."""

from __future__ import annotations

from dataclasses import dataclass

from registry_mesh.findings.outage import Outage


@dataclass(frozen=True, slots=True)
class OutageStatus:
    """Of one registry."""

    parents: str
    """`silent`: none gives any answer, the registry is offline. `failing`: one at least answers, with errors."""
    since_seconds: float
    tags_for_seconds: float
    """How long its tags are answered yet, at most; 0: no longer. Digests go on as long as they are held."""


def outage_status(outage: Outage, now: float) -> OutageStatus:
    """What is told of it at `now`, in seconds since the epoch."""
    return OutageStatus(
        "silent" if outage.silent else "failing",
        round(max(0.0, now - outage.since), 1),
        round(max(0.0, outage.ends - now), 1),
    )
