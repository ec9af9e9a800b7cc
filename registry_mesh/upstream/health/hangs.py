"""Which kinds of requests a parent leaves without an answer, though it answers pings.

A registry whose store hangs answers `/v2/` from memory and never its manifests. A ping says nothing of that; so a
request that waited in vain is remembered by its kind, and the next of that kind is refused at once. Now and then one
of them is let through, to see whether the parent has recovered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FIRST: Final = 5.0
"""Seconds until the kind is tried again; twice as long after each further try in vain."""

LONGEST: Final = 60.0

_KINDS: Final = ("manifests", "blobs", "tags", "referrers")


@dataclass(slots=True)
class _Hang:
    since: float
    until: float
    pause: float = FIRST


class Hangs:
    """The kinds of one parent that hang. `clock` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hangs: dict[str, _Hang] = {}

    def refuses(self, kind: str) -> str:
        """Why a request of `kind` is not to be sent now; empty where it may. The one that may holds the others back
        until it has an answer or another pause is over."""
        hang = self._hangs.get(kind)
        if hang is None:
            return ""
        now = self._clock()
        if now < hang.until:
            return f"has not answered requests for {kind} for {now - hang.since:.0f} s, though it is alive"
        hang.until = now + hang.pause
        return ""

    def hung(self, kind: str, waited: float) -> None:
        """A request of `kind` waited in vain for `waited` seconds."""
        now = self._clock()
        hang = self._hangs.get(kind)
        if hang is None:
            self._hangs[kind] = _Hang(now - waited, now + FIRST)
        else:
            hang.pause = min(LONGEST, 2 * hang.pause)
            hang.until = now + hang.pause

    def answered(self, kind: str) -> None:
        """A request of `kind` has an answer."""
        self._hangs.pop(kind, None)


def kind_of(path: str) -> str:
    """What a path below `/v2/` asks for: by its last fixed part (distribution-spec, "Endpoints")."""
    parts = path.partition("?")[0].split("/")
    if "_mesh" in parts:
        return "chunk maps"
    return next((part for part in reversed(parts[:-1]) if part in _KINDS), "the listing")
