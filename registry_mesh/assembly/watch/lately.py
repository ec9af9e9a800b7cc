"""What counters and histograms did lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lately:
    """By how much a counter rose within a window of seconds."""

    window: float
    _steps: deque[tuple[float, float]] = field(default_factory=deque)

    def rise(self, value: float, now: float) -> int:
        """How much it rose within the window that ends now; 0 at the first look."""
        if not self._steps or value != self._steps[-1][1]:
            self._steps.append((now, value))
        while len(self._steps) > 1 and self._steps[1][0] < now - self.window:
            self._steps.popleft()
        return int(value - self._steps[0][1])


def quantile(share: float, bounds: Sequence[float], counts: Sequence[int]) -> float:
    """Below which so large a share of what was counted lies; `counts` are by `bounds`, and of what is above. Within a
    bucket it is taken to lie evenly, as Prometheus does; 0.0 where nothing was counted."""
    rank, below, lower = share * sum(counts), 0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * (rank - below) / count
        below, lower = below + count, bound
    return lower if below < sum(counts) else 0.0
