"""Whether a client waits for what is asked of parents. Work that nobody waits for goes behind that.

What works for a request, in tasks of its own too, finds it in the context that it began in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 5.0
"""Seconds that it goes behind at a time: where clients never rest it crawls, and goes on all the same."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Urgency:
    """Of one piece of work, and of all that it begins."""

    background: bool = False
    """Nobody waits for it: a run of a replica, a preload, a scrub."""
    longest: float = LONGEST
    """Seconds that it then goes behind clients at a time."""

    def hurry(self) -> None:
        """A client has come to wait for it."""
        self.background = False


CLIENTS: Final = Urgency()
"""Of what a client waits for."""

_URGENCY: ContextVar[Urgency] = ContextVar("urgency", default=CLIENTS)


def urgency() -> Urgency:
    """Return that of the work at hand."""
    return _URGENCY.get()


def work_as(what: Urgency) -> None:
    """Have the task at hand, and all that it begins from now on, be of that urgency."""
    _URGENCY.set(what)


@contextmanager
def unhurried(longest: float = LONGEST) -> Iterator[None]:
    """Nobody waits for what is begun inside."""
    token = _URGENCY.set(Urgency(background=True, longest=longest))
    try:
        yield
    finally:
        _URGENCY.reset(token)
