"""What TCP makes of losses: how fast one connection may be at a time (RFC 9438, CUBIC)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

SEGMENT: Final = 1448
"""Bytes."""
FIRST: Final = 10
"""Segments of the first round (RFC 6928)."""
_C: Final = 0.4
_BETA: Final = 0.7


@dataclass(slots=True)
class Window:
    """Of one connection over `rtt` seconds that loses each segment with the probability `loss`. A round at a time: it
    grows, and gives way once for all that a round lost. Two of the same `seed` have the same luck."""

    rtt: float
    loss: float
    seed: int
    size: float = FIRST
    _before: float = 0.0
    """The size at the last loss; 0: none yet, and it doubles with each round."""
    _since: float = 0.0
    """Seconds of rounds since then."""
    _sent: float = 0.0
    """Segments of the round."""
    _luck: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._luck = random.Random(self.seed)

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.size * SEGMENT / self.rtt

    def sent(self, size: int) -> None:
        """So many bytes more have left."""
        self._sent += size / SEGMENT
        while self._sent >= self.size:
            self._sent -= self.size
            self._round()

    def _round(self) -> None:
        if self._luck.random() < 1 - (1 - self.loss) ** self.size:
            self._before, self._since = self.size, 0.0
            self.size = max(2.0, _BETA * self.size)
        elif not self._before:
            self.size *= 2
        else:
            self._since += self.rtt
            still = (self._before * (1 - _BETA) / _C) ** (1 / 3)
            self.size = max(self.size, _C * (self._since - still) ** 3 + self._before)
