"""What the admin listener asks of the node it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from registry_mesh.admin.status import FindingsStatus, NodeStatus
from registry_mesh.telemetry.events import Event
from registry_mesh.telemetry.instruments import Table


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests should be sent here. A dead parent is no reason against: what is held still pulls."""

    ready: bool
    why: str = ""


class Node(Protocol):
    """One node as its operator sees it."""

    @property
    def table(self) -> Table:
        """The counters of all processes."""
        ...

    def readiness(self) -> Readiness:
        """Whether the node can serve, and the reason where it cannot."""
        ...

    async def status(self) -> NodeStatus:
        """The state of the node, measured now."""
        ...

    def events(self) -> Sequence[Event]:
        """Refusals and failures, coalesced, the newest first."""
        ...

    def findings(self) -> FindingsStatus:
        """What is wrong at the node."""
        ...
