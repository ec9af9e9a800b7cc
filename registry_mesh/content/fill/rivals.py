"""What else a blob could be had from: what a stream is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from registry_mesh.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one source: the bytes of all its bodies so far, how many are under way, and how far away it is: the
    seconds to the head of an answer that nothing keeps."""

    received: int = 0
    bodies: int = 1
    distance: float = 0.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a stream is waited for: `hush` before one that brings next to nothing from its beginning on is left,
    `pace` before its rate is compared with another's."""

    hush: float = 3600.0
    pace: float = 3600.0


class RivalTraffic(Protocol):
    """What comes from the sources of one registry's blobs."""

    def traffic(self, source: str) -> Traffic:
        """Return what comes from `source` in all."""
        ...

    def busy(self, source: str) -> bool:
        """Return whether clients wait for what `source` sends now: what nobody waits for goes behind that. Empty: for
        what any of the sources sends."""
        ...


class Rivals(RivalTraffic, Protocol):
    """The other sources of one registry's blobs, and how fast each was. Rates are bytes a second."""

    def rate(self, source: str, digest: Digest) -> float | None:
        """Return the rate of the best source beside `source` that would be asked for `digest`; 0.0 where nobody knows
        it yet, None where there is no other."""
        ...

    def patience(self, source: str) -> Patience:
        """Return how long a stream of `source` is waited for before it is judged: it may be far away."""
        ...

    def note(self, source: str, rate: float) -> None:
        """Learn how fast `source` was."""
        ...

    def outdone(self, source: str, rate: float) -> None:
        """Learn that `source` was so slow that it was left: for a while it is asked after the others."""
        ...

    def step_back(self, source: str, digest: Digest) -> None:
        """Have `source` asked for `digest` after the others for a while. It did nothing wrong."""
        ...


class NoRivals:
    """There is no other source."""

    def rate(self, source: str, digest: Digest) -> float | None:
        """None."""
        return None

    def traffic(self, source: str) -> Traffic:
        """Nothing is known."""
        return Traffic()

    def busy(self, source: str) -> bool:
        """Nobody knows."""
        return False

    def patience(self, source: str) -> Patience:
        """However long."""
        return Patience()

    def note(self, source: str, rate: float) -> None:
        """Nobody asks for it."""

    def outdone(self, source: str, rate: float) -> None:
        """Nobody asks for it."""

    def step_back(self, source: str, digest: Digest) -> None:
        """There is no other."""


class UnjudgedRivals(NoRivals):
    """The sources of others, none compared with another: what comes of them is slowed down on purpose."""

    def __init__(self, rivals: Rivals) -> None:
        self._rivals = rivals

    def busy(self, source: str) -> bool:
        """As the others say."""
        return self._rivals.busy(source)
