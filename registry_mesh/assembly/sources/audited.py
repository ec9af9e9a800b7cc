"""What rules, runs and commands change, for the audit log: what clients change is told at the edge."""

from __future__ import annotations

from collections.abc import Callable

from registry_mesh.assembly.labels import node_name
from registry_mesh.config.schema import Config
from registry_mesh.ports.happenings import Happening, Outbox
from registry_mesh.telemetry import audit

Keep = Callable[[str], None]
"""Takes a line."""


def ran(config: Config, event: str, who: str, *said: str) -> str:
    """The line of a run that is over: of `event`, begun by `who`, with what it did."""
    why = "; ".join(said)[:300]
    return audit.line(
        event, node_name(config), subject=f"{who} ({event})", registry=config.registry, reason=why
    )


class AuditedOutbox:
    """Implements `ports.happenings.Outbox`: a line for each happening, which is told on to `outbox`."""

    def __init__(self, config: Config, keep: Keep, outbox: Outbox | None) -> None:
        self._config = config
        self._keep = keep
        self._outbox = outbox

    async def begin(self, happening: Happening) -> str:
        """See `Outbox.begin`."""
        return await self._outbox.begin(happening) if self._outbox is not None else ""

    async def add(self, happening: Happening, begun: str = "") -> None:
        """See `Outbox.add`."""
        tags = [str(each) for each in happening.tags]
        self._keep(
            audit.line(
                happening.kind,
                node_name(self._config),
                subject=happening.by[:300],
                registry=self._config.registry,
                repository=happening.repository,
                reference=tags[0] if len(tags) == 1 else str(happening.digest),
                digest=str(happening.digest),
                tags=tags or None,
            )
        )
        if self._outbox is not None:
            await self._outbox.add(happening, begun)
