"""Looks after the parents between requests: closes an open breaker when they answer again, and notices a parent
that hangs before a client has to."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Final

from registry_mesh.upstream.health.liveness import LATELY
from registry_mesh.upstream.health.parent import KnownParent

QUIET: Final = 3.0
"""Seconds without an answer after which a parent in use is pinged."""


class Probe:
    """One task for all parents of a process."""

    def __init__(self, parents: Iterable[KnownParent], quiet: float = QUIET) -> None:
        self._parents = list(parents)
        self._quiet = quiet
        self._task: asyncio.Task[None] | None = None
        for parent in self._parents:
            parent.liveness.on_late = self._look_at_all

    def _look_at_all(self) -> None:
        """One is late, and its link may be that of the others: find out about all at once, not one by one."""
        for parent in self._parents:
            if not parent.breaker.open and not parent.throttled and not parent.liveness.heard_within(LATELY):
                parent.liveness.check()

    def start(self) -> None:
        """Begin to look at the parents now and then."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            due = [p for p in self._parents if self._due(p)]
            if due:
                await asyncio.gather(*(p.ping() for p in due))
            await asyncio.sleep(0.5 + random.random() * 0.2)

    def _due(self, parent: KnownParent) -> bool:
        breaker = parent.breaker
        if parent.throttled:
            return False
        if breaker.open:
            return breaker.take_turn()
        seen = min(breaker.last_success, parent.met_at)
        return not breaker.confirmed or time.monotonic() - seen > self._quiet

    async def close(self) -> None:
        """End the looks, and each parent's pings."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for parent in self._parents:
            await parent.liveness.close()
