"""What a run of the rules came to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Trouble:
    """One thing that is wanted and not held, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Idle:
    """A rule that takes nothing of its registry, of which everything could be listed; `place` is where it stands."""

    rule: str
    registry: str
    place: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Deletions of a registry's tags that the guard stopped; `plan` is the digest by which they are approved."""

    registry: str
    deletes: int
    tags: int
    guard: float
    plan: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; `size` in bytes."""

    repositories: int
    tags: int
    """Wanted."""
    held: int
    """Of those, complete here now."""
    switched: int
    size: int
    """Brought."""
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()
    """What is odd and stops nothing."""
    deleted: int = 0
    idle: tuple[Idle, ...] = ()
    stopped: tuple[Stopped, ...] = ()
    """Each is a trouble, too."""

    @property
    def complete(self) -> bool:
        """Whether all that was selected is here."""
        return not self.troubles
