"""From what happened to the queue of each receiver that wants to know."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.ports.failures import Failure
from registry_mesh.ports.happenings import Happening
from registry_mesh.tasks.threads import in_thread
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.event import document
from registry_mesh.webhooks.queue import Queue

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What one receiver wants to know."""

    receiver: str
    kinds: Collection[str]
    takes: Callable[[str], bool]
    """Whether a repository is one of those it is told about."""

    def wants(self, happening: Happening) -> bool:
        """Whether it is told."""
        return happening.kind in self.kinds and self.takes(happening.repository)


class QueuedOutbox:
    """Implements `ports.happenings.Outbox`. `source`: a URI reference of who tells."""

    def __init__(self, queue: Queue, wishes: Sequence[Wish], source: str, registry: str | None) -> None:
        self._queue = queue
        self._wishes = wishes
        self._source = source
        self._registry = registry

    async def add(self, happening: Happening) -> None:
        """Write it down for those who want it. Where that fails, the log says that they will not be told."""
        receivers = [wish.receiver for wish in self._wishes if wish.wants(happening)]
        if not receivers:
            return
        event = str(uuid.uuid4())
        body = document(happening, event, self._source, self._registry)
        try:
            await in_thread(self._queue.add, receivers, event, happening.at, body)
        except Failure as fault:
            fields = {"repository": happening.repository, "kind": happening.kind, "why": fault.reason}
            log.error("an event is lost: the queue of webhooks cannot be written to", extra={FIELDS: fields})
