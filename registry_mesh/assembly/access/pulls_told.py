"""What the operator is told of pulls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from registry_mesh.assembly.access.pull_keeping import PullKeeping
from registry_mesh.pulls.ledger import Asked

Told = dict[str, Any]  # Any: JSON


class KeptPulls:
    """Implements `admin.pulls.PullsTold`."""

    def __init__(self, keeping: PullKeeping) -> None:
        self._keeping = keeping

    @property
    def keeps(self) -> bool:
        """Whether pulls are recorded."""
        return self._keeping.keeps

    async def told(self, asked: Mapping[str, str]) -> Told:
        """See `PullsTold`."""
        names = ("since", "registry", "repository", "reference", "who")
        found = await self._keeping.find(Asked(**{name: asked.get(name, "") for name in names}))
        return {"pulls": [asdict(pull) for pull in found]}

    async def last(self) -> Told:
        """See `PullsTold`."""
        days = await self._keeping.last_days()
        return {
            "began": await self._keeping.began(),
            "last": [
                {"registry": registry, "repository": repository, "tag": tag, "digest": digest, "day": day}
                for (registry, repository, tag, digest), day in days.items()
            ],
        }
