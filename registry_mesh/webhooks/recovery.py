"""Tells what happened although the process that did it never lived to say so.

Before a change it is written down what is about to happen, and after it that it did. What stays in between is looked
for in the store: what is there has happened, and is told; what is not may be on its way for `LONGEST`, and is then
forgotten. A change whose process is slower than `SETTLED` is told twice, with the same id.
"""

from __future__ import annotations

import logging
from typing import Final

from registry_mesh.ports.happenings import Journal, Outbox
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.event import read
from registry_mesh.webhooks.queue import Begun, Queue

log: Final = logging.getLogger(__name__)

SETTLED: Final = 30.0
"""Seconds after which a change is looked for: far more than one takes."""
LONGEST: Final = 3600.0
"""Seconds after which what has not happened will not."""


class Recovery:
    """Of one queue; for one process of a node."""

    def __init__(self, queue: Queue, outbox: Outbox, journal: Journal) -> None:
        self._queue = queue
        self._outbox = outbox
        self._journal = journal

    async def look(self, now: float) -> int:
        """Look once; gives how many events were told. `now` is in seconds since the epoch. Failures."""
        told = 0
        for begun in await offload(self._queue.begun, now - SETTLED):
            told += await self._settle(begun, now)
        return told

    async def _settle(self, begun: Begun, now: float) -> bool:
        try:
            wanted = read(begun.happening)
        except ValueError:
            await offload(self._queue.forget, begun.event)
            return False
        happened = await self._journal.happened(wanted)
        if happened is not None:
            log.warning(
                "a change is told for a process that ended meanwhile",
                extra={
                    FIELDS: {"event": begun.event, "repository": happened.repository, "kind": happened.kind}
                },
            )
            await self._outbox.add(happened, begun.event)
        elif now - begun.at > LONGEST:
            await offload(self._queue.forget, begun.event)
        return happened is not None
