"""The runs of a node's rules, as its operator is shown them at `/api/1/runs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from registry_mesh.admin.run_status import ReplicationStatus
from registry_mesh.content.snapshot.records.history import RunHistory


class RunsShown:
    """Implements `admin.runs.RunsTold`. `now`: the run under way, with the `trigger` empty where there is none."""

    def __init__(self, history: RunHistory, now: Callable[[], ReplicationStatus]) -> None:
        self._history = history
        self._now = now

    async def told(self, limit: int) -> Mapping[str, object]:
        """`under_way` and the last runs, the newest first. `StoreBroken`."""
        runs = (await self._history.read())[::-1][:limit]
        now = self._now()
        return {
            "under_way": _under_way(now) if now.trigger else None,
            "runs": [asdict(run) for run in runs],
        }


def _under_way(now: ReplicationStatus) -> dict[str, Any]:  # Any: JSON
    told = asdict(now)
    for other in ("last", "faults", "faults_since"):
        del told[other]
    return told
