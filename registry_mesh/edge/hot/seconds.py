"""Whole seconds, one object each: of thousands of callers each object of their own has to be fetched from far."""

from __future__ import annotations

import math
from typing import Final

MOST: Final = 4096
"""Seconds that are remembered."""


class Seconds:
    """Those at which rights end."""

    def __init__(self) -> None:
        self._known: dict[float, float] = {}

    def at(self, time: float) -> float:
        """The whole second at or before `time`; infinity is itself. The same object, while few are remembered."""
        second = math.floor(time) if math.isfinite(time) else time
        if len(self._known) >= MOST:
            self._known.clear()
        return self._known.setdefault(second, float(second))
