"""Connections on which nobody asks anything: they make room for who comes, where descriptors are few."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from heapq import nsmallest
from operator import attrgetter
from typing import Final

from registry_mesh.edge.wire.connection import Connection

KNOWN: Final = 256
"""Connections that one look at all of them finds at most."""
PAUSE: Final = 0.1
"""Seconds between two looks: where none is idle, a flood of clients makes none look at all the others each time."""
TOLD: Final = 60.0
"""Seconds until the log says the same again."""

log: Final = logging.getLogger(__name__)


class Idlers:
    """Those of `connections` that were asked nothing for `quiet` seconds by `clock`."""

    def __init__(
        self, connections: Callable[[], Iterable[Connection]], quiet: float, clock: Callable[[], float]
    ) -> None:
        self._connections = connections
        self._quiet = quiet
        self._clock = clock
        self._found: deque[tuple[Connection, float]] = deque()
        """And when each was last used, the oldest first."""
        self._looked_at = self._told_at = -math.inf

    def make_room(self) -> bool:
        """Close the one that was used the longest ago; False where there is none."""
        return self._close_first() or (self._look() and self._close_first())

    def _close_first(self) -> bool:
        while self._found:
            one, used = self._found.popleft()
            if one.last_used == used and one.is_idle:
                one.force_close()
                self._tell()
                return True
        return False

    def _look(self) -> bool:
        now = self._clock()
        if now - self._looked_at < PAUSE:
            return False
        self._looked_at = now
        idle = (each for each in self._connections() if each.is_idle and now - each.last_used >= self._quiet)
        self._found.extend((each, each.last_used) for each in nsmallest(KNOWN, idle, attrgetter("last_used")))
        return bool(self._found)

    def _tell(self) -> None:
        now = self._clock()
        if now - self._told_at >= TOLD:
            self._told_at = now
            log.warning("few descriptors are left: connections that were idle for the longest are closed")
