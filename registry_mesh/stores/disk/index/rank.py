"""Decides which blob a cache gives up first: the one of least use, where a use counts for less the more came since.

The clock is the cache's own churn. It shows turnovers: what ever came in, in quotas. A use counts half as much
`HALF_LIFE` turnovers later, so a blob's worth at time t is the sum of 2 ** ((used - t) / HALF_LIFE) over its uses
(Lee et al., "LRFU", IEEE Transactions on Computers 50/12). Its rank is the logarithm of that worth at t = 0: time
moves all ranks alike, so it stays as it is until the next use, and an ordered index of ranks stays in order.
"""

from __future__ import annotations

import math
from typing import Final

HALF_LIFE: Final = 4.0
"""Turnovers."""

APART: Final = 1 / 64
"""Turnovers. What is used again sooner counts once: a pull by a hundred nodes, or one by a thousand ranges, says
little about the next."""

SMALL: Final = 64 << 10
"""Bytes. A blob of fewer, as manifests and configurations are, counts as used `SMALL_LATER` turnovers later than it
was: to lose it frees next to nothing, and without it an image's layers are of no use."""

SMALL_LATER: Final = HALF_LIFE
"""Turnovers."""


def risen(rank: float | None, now: float) -> float:
    """The rank after a use `now` (turnovers); `rank` is that before it, None where nothing is known."""
    use = now / HALF_LIFE
    if rank is None:
        return use
    return max(rank, use) + math.log2(1.0 + 2.0 ** -abs(rank - use))


def rank_by_age(seconds: float, size: int = SMALL) -> float:
    """A rank for a blob of `size` bytes of which only the time since its last use is known: below all that is used from
    now on."""
    days = max(0.0, seconds) / 86400.0
    return -days / (days + 1.0) - (1.0 if size < SMALL else 1.0 + SMALL_LATER / HALF_LIFE)
