"""Small differences on a machine that does other things: short rounds in turns, CPU time, medians of differences."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Final

ROUNDS: Final = 300
BATCH: Final = 16
"""Calls between two looks at the clock, which takes as long as some of them."""


def over_the_first(
    variants: Mapping[str, Callable[[int], object]],
    between: Callable[[], object],
    rounds: int = ROUNDS,
    before: Callable[[range], object] = lambda calls: None,
) -> dict[str, float]:
    """Microseconds of CPU that one call of each variant takes more than one of the first. Each round has them all, in
    an order of its own, so that what disturbs a round disturbs all of it; half of them may be disturbed.
    `before` is called with the numbers of the calls that come next, and not counted."""
    names = list(variants)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in random.Random(number).sample(names, len(names)):
            before(range(number * BATCH, (number + 1) * BATCH))
            spent[name].append(_batch(variants[name], number * BATCH))
            between()
    first = spent[names[0]]
    return {
        name: statistics.median(mine - base for mine, base in zip(each, first, strict=True))
        for name, each in spent.items()
    }


def _batch(call: Callable[[int], object], number: int) -> float:
    begun = time.thread_time_ns()
    for each in range(number, number + BATCH):
        call(each)
    return (time.thread_time_ns() - begun) / BATCH / 1000
