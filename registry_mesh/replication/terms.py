"""The small values of a rule: how much of a thing, for how long, under whose signature, in which order."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


class Data(enum.Enum):
    """How much of an image is brought; later ones are fuller."""

    METADATA = "metadata"
    ON_DEMAND = "on-demand"
    FULL = "full"

    @property
    def rank(self) -> int:
        """Of two, the higher is the fuller."""
        return tuple(Data).index(self)


class Priority(enum.Enum):
    """Which copies come first, and who writes a target that two rules write."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """Of two, the higher comes first."""
        return tuple(Priority).index(self)


@dataclass(frozen=True, slots=True)
class Delete:
    """Seconds after which a tag is deleted that is gone at its source, or that no rule wants; None is never."""

    gone: float | None = None
    unselected: float | None = None

    @property
    def longest(self) -> tuple[float, float]:
        """For comparing: never is the longest."""
        return (
            math.inf if self.gone is None else self.gone,
            math.inf if self.unselected is None else self.unselected,
        )


NEVER: Final = Delete()


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing of it is deleted for `seconds` from when it was first here, or until a time (seconds since the epoch)."""

    seconds: float = math.inf
    until: float | None = None

    def holds(self, since: float, now: float) -> bool:
        """Whether something here `since` is held at `now`."""
        return now < self.until_when(since)

    def until_when(self, since: float) -> float:
        """Until when it holds; infinity is for ever."""
        return self.until if self.until is not None else since + self.seconds


@dataclass(frozen=True, slots=True)
class Verify:
    """One of the keys `by` signed the digest, and companions of the kinds `having` exist."""

    by: tuple[str, ...]
    having: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """A test in a rule file: what is given of a reference, and what must come of it."""

    ref: str
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: YAML as it was written, checked
    expect: str | Mapping[str, Any] = ""
    place: str = ""
