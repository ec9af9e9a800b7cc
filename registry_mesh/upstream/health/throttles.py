"""Which hosts asked to be left alone, and until when (RFC 9110 section 10.2.3, RFC 6585 section 4).

A registry that answers 429 counts the requests that it refuses, too: a node that goes on asking is let in later, or
never. So nothing is sent before the time that it named, by any process of the node, and those who would have asked
are told the seconds that are left.
"""

from __future__ import annotations

from typing import Final

from registry_mesh.auth.hosts import place
from registry_mesh.upstream.health.board import Card

UNSAID: Final = 1.0
"""Seconds for which a host is left alone that answers 429 and names no time."""

_Place = tuple[str, str, int]


class Throttles:
    """The hosts that one parent's answers come from: the parent at `url` itself, of which `card` tells every process,
    and where it redirects to."""

    def __init__(self, url: str, card: Card) -> None:
        self._own = place(url)
        self._card = card
        self._until: dict[_Place, tuple[int, float]] = {}

    def note(self, url: str, status: int, seconds: float | None) -> None:
        """The host of `url` answered 429, or 503, and named so many seconds."""
        if seconds is None and status == 429:
            seconds = UNSAID
        where = place(url)
        if where is None or not seconds:
            return
        now = self._card.clock()
        if where == self._own:
            self._note_own(status, now, now + seconds)
            return
        self._until = {host: held for host, held in self._until.items() if held[1] > now}
        self._until[where] = status, now + seconds

    def _note_own(self, status: int, now: float, until: float) -> None:
        _, since, before = self._card.known().throttle
        since = since if before > now else now
        self._card.tell(f"answered {status}")
        self._card.write(throttle_status=status, throttled_since=since, throttled_until=until)

    def left(self, url: str) -> tuple[int, float] | None:
        """The status that its host answered, and the seconds until it may be asked again; None where it may now."""
        where = place(url)
        if where == self._own:
            status, _, until = self._card.known().throttle
        else:
            status, until = (
                self._until.get(where, (0, 0.0)) if where is not None and self._until else (0, 0.0)
            )
        left = until - self._card.clock() if status else 0.0
        return (status, left) if left > 0 else None
