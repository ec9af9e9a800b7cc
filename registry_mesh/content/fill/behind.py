"""Background work steps back while clients wait for the same parent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from registry_mesh.content.fill.rivals import Rivals
from registry_mesh.ports.urgency import Urgency, urgency

LOOK: Final = 0.05
"""Seconds between two looks at whether clients are still there: they may be another process's."""


class BackgroundPace:
    """Of one stream, or of one that is to begin: whether it is to wait. `now` in seconds, monotonic."""

    def __init__(self, work: Urgency, now: Callable[[], float]) -> None:
        self._work = work
        self._now = now
        self._since: float | None = None
        self.waited = False
        """Whether it was told to since this was last set to false."""

    @property
    def waiting(self) -> bool:
        """Whether it was told to."""
        return self._since is not None

    def waits(self, rivals: Rivals, source: str = "") -> bool:
        """Whether to wait a moment, and ask again. `source`: who sends; empty: any that may be asked."""
        if not self._work.background or not rivals.busy(source):
            self._since = None
            return False
        if self._since is None:
            self._since = self._now()
        if self._now() - self._since < self._work.longest:
            self.waited = True
            return True
        self._since = None
        return False


async def behind_clients(rivals: Rivals, source: str = "") -> None:
    """Return when the work at hand may go on."""
    back = BackgroundPace(urgency(), asyncio.get_running_loop().time)
    while back.waits(rivals, source):  # noqa: ASYNC110  # clients of another process set no event
        await asyncio.sleep(LOOK)
