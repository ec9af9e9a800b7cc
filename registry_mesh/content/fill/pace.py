"""Decides whether a stream is so slow that another source is to go on."""

from __future__ import annotations

from dataclasses import dataclass

from registry_mesh.chunks.chunk_map import CHUNK, MIB


@dataclass(frozen=True, slots=True)
class PacePolicy:
    """A source is left where it brings less than `share` of what another is known to bring, and at least `gain`
    seconds are won. One that nobody knows is tried where this one brings less than `unknown` bytes a second. Where a
    stream begins with less than `hush` of even that, its source is left early. A stream far below the others of its
    source is no part of a crowd: `crowd` times its fair share is all that counts for it."""

    share: float = 0.25
    hush: float = 1 / 16
    unknown: float = MIB
    gain: float = 0.5
    crowd: float = 4.0

    def least(self, rival: float) -> float:
        """The rate below which a source is left for one of rate `rival`; 0.0 for one that nobody knows."""
        return self.share * rival if rival else self.unknown

    def seconds(self, rival: float, pace: float) -> float:
        """How long a stream is to be waited for before it is judged: in less, a good one brings too few chunks."""
        return max(pace, 2 * CHUNK / max(1.0, self.least(rival)))

    def counts(self, rate: float, all_bodies: float, bodies: int) -> float:
        """The rate by which a source is judged, of which one stream brings `rate`, and all `bodies` so much in all:
        many that share a link are each slow, and the source is not."""
        return max(rate, min(all_bodies, self.crowd * rate * bodies))

    def hushed(self, rate: float, left: int, rival: float) -> bool:
        """Whether to leave a source whose stream began with this rate, before it can be judged by it."""
        return rate < self.hush * self.least(rival) and self.outdone(rate, left, rival)

    def outdone(self, rate: float, left: int, rival: float) -> bool:
        """Whether to leave a source of this rate with `left` bytes to come."""
        if rate >= self.least(rival):
            return False
        with_it = left / max(rate, 1.0)
        return with_it - (left / rival if rival else 0.0) >= self.gain
