"""Decides how many streams one fill has to a parent that is far away.

On a long way with losses each connection is slow for itself, whatever the link could carry: several bring more. On any
other way they bring nothing, and cost connections. So there are more of them as long as the rate grows with it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB

AGAIN: Final = 60.0
"""Seconds until a number that was found is tried anew."""

TOGETHER: Final = 16
"""Lanes that all fills of a process have, beside the first of each."""


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """`far`: seconds to an answer's head from which on a parent is far away. `slow`: bytes a second; a stream that
    brings more suffers from no loss, and much of it is on its way. `period`: seconds of a measurement. `gain`: times
    the rate that the next of `steps` is to bring. `least`, `longest`: bytes that a lane asks for at a time.
    """

    far: float = 0.03
    slow: float = 4e6
    period: float = 0.5
    gain: float = 1.3
    steps: tuple[int, ...] = (1, 4, 8)
    least: int = MIB // 2
    longest: int = 4 * MIB

    def stripe(self, missing: int, lanes: int) -> int:
        """Chunks that a lane is to ask for at a time, of so many that are missing: at the end all are to be busy."""
        return max(self.least // CHUNK, min(self.longest // CHUNK, missing // (2 * lanes)))


class Lanes:
    """Of one fill."""

    def __init__(self, policy: LanePolicy, count: int, now: float) -> None:
        """`count`: what was found for another fill of the same parent; 1: nothing was."""
        self._policy = policy
        self.count = count
        self._rate: float | None = None
        self._until = now

    def measured(self, rate: float, now: float) -> None:
        """So many bytes a second came with `count` lanes."""
        if now < self._until or (self.count == 1 and rate >= self._policy.slow):
            return
        fewer = [step for step in self._policy.steps if step < self.count]
        more = [step for step in self._policy.steps if step > self.count]
        helped = self._rate is None or rate >= self._policy.gain * self._rate
        if helped and more:
            self._rate, self.count = rate, more[0]
            return
        if not helped and fewer:
            self.count = fewer[-1]
        self._rate, self._until = None, now + AGAIN


class LaneMeter:
    """Tells the lanes of one fill, period by period, what they bring."""

    def __init__(self) -> None:
        self._came = 0
        self._then = 0.0
        self._new = True

    def begin(self, came: int, now: float) -> None:
        """Measure from now on, when `came` bytes are here."""
        self._came, self._then, self._new = came, now, True

    def measure(self, lanes: Lanes, came: int, now: float) -> bool:
        """Whether there are more or fewer lanes now that `came` bytes are here. The first period after a change is not
        counted: connections are made, and find their pace."""
        rate = (came - self._came) / max(0.001, now - self._then)
        self._came, self._then = came, now
        before = lanes.count
        if not self._new:
            lanes.measured(rate, now)
        self._new = lanes.count != before
        return self._new


class LaneShares:
    """What all fills of a process know of lanes, and how they share them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, float]] = {}
        self._usual: dict[str, str] = {}
        self._using: set[Hashable] = set()

    def found(self, source: str, now: float) -> int:
        """The lanes that helped with `source` lately; 1 where nobody knows."""
        count, when = self._found.get(source, (1, now))
        return count if now - when < 10 * AGAIN else 1

    def expected(self, registry: str, now: float) -> tuple[str, int]:
        """The source that gave blobs of a registry last, and the lanes that helped with it."""
        source = self._usual.get(registry, "")
        return source, self.found(source, now)

    def gives(self, registry: str, source: str) -> None:
        """Blobs of the registry come from there now."""
        self._usual[registry] = source

    def learn(self, source: str, count: int, now: float) -> None:
        """So many help."""
        self._found[source] = count, now

    def use(self, fill: Hashable, count: int) -> int:
        """How many of `count` lanes a fill may have now."""
        if count > 1:
            self._using.add(fill)
        return min(count, 1 + TOGETHER // max(1, len(self._using)))

    def leave(self, fill: Hashable) -> None:
        """It needs none any more."""
        self._using.discard(fill)
