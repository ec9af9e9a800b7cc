"""How a parent does, as one node sees it: what the operator is shown of it, and what metrics are made of."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.StrEnum):
    """Whether a parent is asked."""

    UNASKED = "unasked"
    """It has not answered yet, and nothing is amiss."""
    UP = "up"
    SILENT = "silent"
    """It accepts, and leaves a ping without an answer."""
    THROTTLED = "throttled"
    """It asked to be left alone for a time (429, or 503 with Retry-After)."""
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Quota:
    """What a registry says is left of what it allows; None where it does not say."""

    remaining: int
    limit: int | None
    until: float | None
    """When it is whole again, on the clock of the standing."""
    at: float = 0.0
    """When it said so, on that clock."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one parent does. Times are seconds of one monotonic clock."""

    state: State
    since: float | None
    """Of the state; None where it was never asked."""
    why: str
    """The cause, in plain words; empty while it is up."""
    again: float | None
    """When it is asked next; None while nothing keeps anybody from asking it."""
    latency: float | None
    """Seconds to the head of an answer, smoothed; None before the first."""
    error: str
    """What went wrong last, whenever that was; empty where nothing did."""
    error_at: float | None
    quota: Quota | None = None
    clock_ahead: float | None = None
    """Seconds by which this machine's clock is ahead of the parent's; None where it has not told lately."""
    rate: float | None = None
    """Bytes a second that its bodies brought; None where none came lately."""
    slow_since: float | None = None
    """Since when it is asked for blobs after the others for being slow; None where it is not."""
    slow_until: float | None = None
    denied_since: float | None = None
    """Since when it does not take this node's login, or gives it nothing for want of one; None where neither is so."""
    no_registry: int = 0
    """The status that it answers /v2/ with, where that is none of a registry's."""
    lost: bool = False
    """It gave no answer when it was asked last, not even an error."""


@dataclass(frozen=True, slots=True)
class Change:
    """A parent passed from one state to another."""

    parent: str
    before: Standing
    now: Standing


def change(parent: str, before: Standing, now: Standing) -> Change | None:
    """The change worth a line in the log; None where there is none: the first answer of a parent that nothing was
    amiss with is not told."""
    if before.state is now.state:
        return None
    if {before.state, now.state} <= {State.UNASKED, State.UP}:
        return None
    return Change(parent, before, now)
