"""What a node moves now: rates over the last seconds, and what is under way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from registry_mesh.admin.status import NowStatus
from registry_mesh.assembly.watch.lately import quantile
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Table

_WINDOW: Final = 10.0
"""Seconds that a rate is taken over."""


@dataclass(frozen=True, slots=True)
class _Look:
    """How counters stood."""

    at: float
    sent: float
    received: float
    cpu: float
    requests: int
    hits: tuple[int, ...]
    """By the time to their heads, as `names.FIRST_BYTE.bounds` part them."""


class Now:
    """Of the node whose counters `table` has; `look` is to be called every few seconds."""

    def __init__(self, table: Table, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._clock = clock
        self._looks: deque[_Look] = deque()

    def look(self) -> None:
        """Note how counters stand."""
        table, now = self._table, self._clock()
        look = _Look(
            now,
            table.total(names.SENT_BYTES),
            table.total(names.UPSTREAM_BYTES),
            table.total(names.CPU_SECONDS),
            # By endpoint only: what counts them by registry and answer has thousands of cells.
            sum(sum(sample.cells[:-1]) for sample in table.read(names.REQUEST_SECONDS)),
            table.cells(names.FIRST_BYTE, "hit")[:-1],
        )
        self._looks.append(look)
        while len(self._looks) > 2 and self._looks[1].at <= now - _WINDOW:
            self._looks.popleft()

    def status(self) -> NowStatus:
        """As of the last look."""
        running, fills, readers, resident = (
            int(self._table.total(each))
            for each in (names.REQUESTS_RUNNING, names.FILLS, names.FILL_READERS, names.RESIDENT)
        )
        if len(self._looks) < 2:
            return NowStatus(0, running, 0, fills, readers, resident_bytes=resident)
        first, last = self._looks[0], self._looks[-1]
        seconds = max(0.001, last.at - first.at)
        hits = [new - old for new, old in zip(last.hits, first.hits, strict=True)]
        return NowStatus(
            round((last.sent - first.sent) / seconds),
            running,
            round((last.received - first.received) / seconds),
            fills,
            readers,
            round((last.requests - first.requests) / seconds, 1),
            round((last.cpu - first.cpu) / seconds, 3),
            resident,
            quantile(0.99, names.FIRST_BYTE.bounds, hits),
        )
