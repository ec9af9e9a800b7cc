"""What a node moves now: rates over the last seconds, and what is under way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from registry_mesh.admin.status import NowStatus
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Table

_WINDOW: Final = 10.0
"""Seconds that a rate is taken over."""


class Now:
    """Of the node whose counters `table` has; `look` is to be called every few seconds."""

    def __init__(self, table: Table, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._clock = clock
        self._looks: deque[tuple[float, float, float]] = deque()

    def look(self) -> None:
        """Note how counters stand."""
        now = self._clock()
        sent, received = (self._table.total(each) for each in (names.SENT_BYTES, names.UPSTREAM_BYTES))
        self._looks.append((now, sent, received))
        while len(self._looks) > 2 and self._looks[1][0] <= now - _WINDOW:
            self._looks.popleft()

    def status(self) -> NowStatus:
        """As of the last look."""
        sent = received = 0.0
        if len(self._looks) > 1:
            first, last = self._looks[0], self._looks[-1]
            seconds = max(0.001, last[0] - first[0])
            sent, received = ((last[i] - first[i]) / seconds for i in (1, 2))
        running, fills, readers = (
            int(self._table.total(each)) for each in (names.REQUESTS_RUNNING, names.FILLS, names.FILL_READERS)
        )
        return NowStatus(round(sent), running, round(received), fills, readers)
