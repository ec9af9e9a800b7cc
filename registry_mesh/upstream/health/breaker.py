"""Whether a parent is worth asking: closed (yes), open (no), half open (one may try).

A parent that refuses, breaks or hangs is left alone for a while that doubles with every failed try; what is not
held is then a clear answer at once instead of a wait. A background probe, not a client's request, is the try. What one
process of a node learns holds for all of them (`board`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from registry_mesh.upstream.health.board import Card

FIRST: Final = 1.0
LONGEST: Final = 30.0
TOLERATED: Final = 3
"""Failures in a row that an answering parent may have (5xx) before it is left alone."""

EXCHANGE: Final = 0.5
"""Of the seconds to the first answer of all: as many at least went by for the connection."""

RISES: Final = 0.5
FALLS: Final = 0.1
"""Of what is between a peak and an answer that took longer, or was quicker: it comes to lie above some nine in ten."""

CREEPS: Final = 0.005
"""Of what is between the least and an answer that took longer: a busy parent, or node, is not far away for that."""


def peak(before: float, seconds: float) -> float:
    """Return the peak of latencies after one more."""
    return before + (RISES if seconds > before else FALLS) * (seconds - before)


def least(before: float, seconds: float) -> float:
    """Return the least of latencies after one more."""
    return seconds if seconds < before else before + CREEPS * (seconds - before)


class Breaker:
    """State of one parent, kept on `card`. `clock` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, card: Card | None = None) -> None:
        self._card = card or Card.alone(clock)
        self._clock = self._card.clock

    @property
    def open(self) -> bool:
        """Whether the parent is left alone."""
        return self._card.known().down

    @property
    def confirmed(self) -> bool:
        """It has answered, and is not open."""
        known = self._card.known()
        return known.answered_at > 0 and not known.down

    @property
    def answered(self) -> bool:
        """Whether it ever did, so that `latency` is known."""
        return self._card.known().answered_at > 0

    @property
    def latency(self) -> float:
        """Seconds to the answer's head, smoothed."""
        return self._card.known().latency

    @property
    def peak(self) -> float:
        """Seconds to the answer's head that few take longer than."""
        return self._card.known().peak

    @property
    def least(self) -> float:
        """Seconds to the answer's head that few are quicker than; 0.0 before the first."""
        return self._card.known().least

    @property
    def last_success(self) -> float:
        """When it answered last; 0.0: never."""
        return self._card.known().answered_at

    @property
    def reason(self) -> str:
        """What went wrong, where something did since its last answer."""
        return self._card.error if self._card.known().failures else ""

    @property
    def lost(self) -> bool:
        """It gave no answer of any kind when it was asked last."""
        return self._card.known().lost

    @property
    def pause(self) -> float:
        """Seconds between two tries while it is open."""
        return self._card.known().pause or FIRST

    @property
    def due(self) -> bool:
        """Open, and it is time to try again."""
        known = self._card.known()
        return known.down and self._clock() >= known.again_at

    @property
    def told(self) -> str:
        """While it is open: why, since when, and when it is tried again. Empty while it is closed."""
        known = self._card.known()
        if not known.down:
            return ""
        now = self._clock()
        since, again = now - known.down_since, max(0.0, known.again_at - now)
        when = f"in {again:.0f} s" if again >= 1 else "now"
        return f"down for {since:.0f} s ({self._card.error}), is tried again {when}"

    def take_turn(self) -> bool:
        """Whether it is time to try again; the other processes of the node leave it to this one then."""
        if not self.due:
            return False
        known, now = self._card.known(), self._clock()
        pause = min(LONGEST, known.pause * 2)
        if self._card.own("failed_at") <= known.answered_at:
            self._card.write(failures=0)
        self._card.write(
            pause=pause,
            again_at=now + pause,
            down_since=known.down_since,
            failed_at=now,
        )
        return True

    def succeeded(self, seconds: float) -> None:
        """It answered, with anything but a server error, after `seconds`."""
        known, now = self._card.known(), self._clock()
        up = known.answered_at > 0 and not known.down
        self._card.write(
            peak=peak(known.peak, seconds) if known.peak else seconds * EXCHANGE,
            least=least(known.least, seconds) if known.least else seconds,
            latency=seconds if not known.latency else 0.8 * known.latency + 0.2 * seconds,
            up_since=known.up_since if up else now,
            failures=0,
            down_since=0,
            again_at=0,
            pause=0,
            reached_at=now,
            answered_at=now,
        )

    def failed(self, reason: str, *, hard: bool) -> None:
        """`hard`: no answer at all (refused, timed out). Otherwise a server error, tolerated a few times."""
        card, known, now = self._card, self._card.known(), self._clock()
        card.tell(reason)
        if card.own("failed_at") <= known.answered_at:  # by another process, perhaps
            card.write(down_since=0, again_at=0, pause=0, failures=0)
        card.write(**{"lost_at" if hard else "reached_at": now})
        after = math.nextafter(known.answered_at, math.inf)
        card.write(failures=card.own("failures") + 1, failed_at=max(now, after))
        if hard or known.failures + 1 >= TOLERATED:
            pause = known.pause or FIRST
            card.write(pause=pause, again_at=now + pause, down_since=known.down_since or now)

    def __repr__(self) -> str:
        return f"<Breaker {'open: ' + self.reason if self.open else 'closed'} {self.latency * 1000:.0f} ms>"
