"""Cuts off a body that stands still, or drips.

aiohttp's own limit (`sock_read`) cancels a timer and sets another for every piece that comes; that was a tenth of the
interpreter's time in a fill. One timer that looks at a mark now and then costs next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from registry_mesh.ports.failures import SourceSlow, SourceUnavailable
from registry_mesh.upstream.health.floor import Floor
from registry_mesh.upstream.sender import Sender

_LOOKS: Final = 4


class Stall:
    """Calls `cut` once, when `came` has not followed a `wait` for the seconds that the sender allows, or a quarter
    more; or when what came over a longer time is next to nothing. A caller that does not wait, because it cannot take
    more, is not cut off. To be entered and left."""

    __slots__ = (
        "_came",
        "_cut",
        "_floor",
        "_loop",
        "_pause",
        "_seen",
        "_seen_parent",
        "_sender",
        "_size",
        "_still",
        "_timer",
        "_waiting",
        "slow",
        "stalled",
    )

    def __init__(self, sender: Sender, cut: Callable[[], None]) -> None:
        self._sender = sender
        self._pause = sender.stall / _LOOKS
        self._floor = Floor(sender.drip)
        self._cut = cut
        self._loop = asyncio.get_running_loop()
        self._came = 0
        self._size = 0
        self._seen = -1
        self._seen_parent = sender.received
        self._still = 0
        self._waiting = False
        self._timer: asyncio.TimerHandle | None = None
        self.stalled = False
        """Whether it was cut off."""
        self.slow = False
        """Whether that was for dripping."""

    def __enter__(self) -> Stall:
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def wait(self) -> None:
        """A piece is waited for."""
        self._waiting = True

    def came(self, size: int) -> None:
        """It has come, and has `size` bytes."""
        self._waiting = False
        self._came += 1
        self._size += size

    def failure(self) -> SourceUnavailable:
        """What the cut means."""
        return (SourceSlow if self.slow else SourceUnavailable)(
            "sends next to nothing" if self.slow else "stands still", source=self._sender.name
        )

    def _look(self) -> None:
        self._still = self._still + 1 if self._waiting and self._seen == self._came else 0
        self.slow = self._waiting and self._seen >= 0 and self._drips()
        self._seen = self._came
        self._size = 0
        self._seen_parent = self._sender.received
        if self._still >= _LOOKS or self.slow:
            self.stalled = True
            self._cut()
        else:
            self._timer = self._loop.call_later(self._pause, self._look)

    def _drips(self) -> bool:
        sender = self._sender
        parent = sender.received - self._seen_parent
        return self._floor.drips(self._pause, self._size, parent, sender.inflight)
