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
from registry_mesh.webhooks.event import document, written
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
    """Implements `ports.happenings.Outbox`. `source`: a URI reference of the node that tells."""

    def __init__(self, queue: Queue, wishes: Sequence[Wish], source: str, registry: str | None) -> None:
        self._queue = queue
        self._wishes = wishes
        self._source = source
        self._registry = registry

    async def begin(self, happening: Happening) -> str:
        """See `Outbox.begin`."""
        if not self._wanted(happening):
            return ""
        event = str(uuid.uuid4())
        try:
            await in_thread(self._queue.begin, event, happening.at, written(happening))
        except Failure:
            return ""  # `add` tries again, and says where it fails
        return event

    async def add(self, happening: Happening, begun: str = "") -> None:
        """See `Outbox.add`. Where it cannot be written down the log says that nobody will be told."""
        receivers = self._wanted(happening)
        if not receivers:
            return
        event = begun or str(uuid.uuid4())
        body = document(happening, event, self._source, self._registry)
        try:
            await in_thread(self._queue.add, receivers, event, happening.at, body)
        except Failure as fault:
            fields = {"repository": happening.repository, "kind": happening.kind, "why": fault.reason}
            log.error("an event is lost: the queue of webhooks cannot be written to", extra={FIELDS: fields})

    def _wanted(self, happening: Happening) -> list[str]:
        return [wish.receiver for wish in self._wishes if wish.wants(happening)]
