"""Decides whether a transfer whose stream broke asks again, when, and of whom first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.ports.failures import Failure, SourceSlow

TRIES: Final = 4
"""Attempts in a row that bring nothing, or drips, before a transfer gives up."""

CRUMB: Final = 256
"""Bytes of a stream that are as good as nothing, if no more come."""

WAITED: Final = 10.0
"""Seconds for which streams, two at least, are waited for in vain, before a transfer gives up."""

LEAST: Final = 1024.0
"""Bytes a second under which they are waited for in vain."""

DEADLINE: Final = 60.0
"""Seconds in which streams that break bring a chunk, or the transfer gives up."""

SHORT: Final = 0.25
"""A stream that broke before it brought this share of what was asked for has another source asked first."""

BREAKS: Final = 3
"""So does the third that broke, however much they brought."""

_FIRST: Final = 0.05
_LONGEST: Final = 3.2


@dataclass(frozen=True, slots=True)
class Retry:
    """What follows a broken stream: whether its source is doubted, and the seconds until somebody is asked again; None
    where nobody is."""

    doubt: bool
    pause: float | None


class Retries:
    """Of one transfer. Pauses double while streams bring less than a chunk, and are spread by `roll` in [0, 1)."""

    def __init__(self, roll: Callable[[], float]) -> None:
        self._roll = roll
        self._idle = 0
        self._short = 0
        self._came = 0
        self._breaks = 0
        self._since: float | None = None
        self._waits = 0
        self._waited = 0.0
        self._brought = 0

    def after(self, failure: Failure, came: int, asked: int, now: float, waited: float = 0.0) -> Retry:
        """A stream that was asked for `asked` bytes, and waited for `waited` seconds, brought `came` of them and ended
        with `failure`."""
        self._breaks += 1
        slow = isinstance(failure, SourceSlow)
        doubt = slow or came < CHUNK or came < SHORT * asked or self._breaks >= BREAKS
        self._progress(came, now)
        self._idle = self._idle + 1 if came < CRUMB or (slow and came < CHUNK) else 0
        late = self._since is not None and now - self._since >= DEADLINE
        pause = self._pause(max(self._idle, self._short))
        in_vain = self._in_vain(came, waited)
        return Retry(doubt, None if late or in_vain or self._idle >= TRIES else pause)

    def _in_vain(self, came: int, waited: float) -> bool:
        """Whether the streams since one that was fast enough were waited for long enough."""
        self._waits, self._waited, self._brought = (
            self._waits + 1,
            self._waited + waited,
            self._brought + came,
        )
        if self._brought >= LEAST * self._waited:
            self._waits, self._waited, self._brought = 0, 0.0, 0
        return self._waits > 1 and self._waited >= WAITED

    def _progress(self, came: int, now: float) -> None:
        self._came += came
        if self._came >= CHUNK:
            self._came, self._short, self._since = 0, 0, None
            return
        self._short += 1
        if self._since is None:
            self._since = now

    def _pause(self, times: int) -> float:
        if times <= 1:
            return 0.0
        return min(_LONGEST, _FIRST * 2.0**times) * (0.5 + self._roll())


class RetryBudget:
    """How often all transfers of a process may ask one source again: a share of what they ask it, and a few a second,
    so that many whose streams broke at once do not all come back at once (Finagle's `RetryBudget`, gRPC A6). A transfer
    that goes on at another source is none of them."""

    SHARE: Final = 0.2
    SECOND: Final = 10.0
    MOST: Final = 50.0

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # source → how many are left, as of when

    def asked(self, source: str, now: float) -> None:
        """A transfer has begun there."""
        self._left[source] = min(self.MOST, self._now(source, now) + self.SHARE), now

    def take(self, source: str, now: float) -> float:
        """Take one; the seconds until it is there."""
        left = self._now(source, now) - 1
        self._left[source] = left, now
        return max(0.0, -left / self.SECOND)

    def _now(self, source: str, now: float) -> float:
        left, then = self._left.get(source, (self.MOST, now))
        return min(self.MOST, left + (now - then) * self.SECOND)
