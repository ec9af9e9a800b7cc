"""How long a client is waited for that reads next to nothing, and that it makes room for others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LOOKS: Final = 30
"""Looks at a body on its way, in the time after which a client that takes nothing of it is cut off."""
SLOWEST: Final = 500
"""Bytes a second; who takes fewer lags."""


class Laggards:
    """Bodies whose clients lag, those that began first to do so in front. Of one listener."""

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def note(self, watch: Watch) -> None:
        """Its client lags from now on."""
        self._watches.setdefault(watch)

    def forget(self, watch: Watch) -> None:
        """Its client reads on, or its body has ended."""
        self._watches.pop(watch, None)

    def give_way(self) -> bool:
        """Cut one off to make room; False where every client reads."""
        first = next(iter(self._watches), None)
        if first is None:
            return False
        self.forget(first)
        first.cut()
        return True


class Watch:
    """Looks again and again what a client takes of one body: from `begin` to `end`."""

    __slots__ = ("_laggards", "_lags", "_loop", "_pause", "_progress", "_seen", "_timer", "_waited", "cut")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        laggards: Laggards,
        patience: float,
        progress: Callable[[], int | None],
        lags: Callable[[], None],
        cut: Callable[[], None],
    ) -> None:
        """`patience`: seconds after which `cut` is called, where nothing is taken. `progress`: bytes that the client
        has taken; None while it is not the client that is waited for. `lags` is called at each look at which the
        client does."""
        self._loop = loop
        self._laggards = laggards
        self._pause = patience / LOOKS
        self._progress = progress
        self._lags = lags
        self.cut = cut
        self._seen = -1
        self._waited = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._seen = self._progress() or 0
        self._timer = self._loop.call_later(self._pause, self._look)

    def end(self) -> None:
        """The body has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._laggards.forget(self)

    def _look(self) -> None:
        progress = self._progress()
        taken = progress - self._seen if progress is not None else None
        self._waited = self._waited + 1 if taken == 0 else 0
        if self._waited >= LOOKS:
            self._laggards.forget(self)
            self.cut()
            return
        self._seen = progress if progress is not None else self._seen
        if taken is not None and taken < SLOWEST * self._pause:
            self._laggards.note(self)
            self._lags()
        else:
            self._laggards.forget(self)
        self._timer = self._loop.call_later(self._pause, self._look)
