"""A plan: what a node would do under its rules, as a value that has a digest."""

from __future__ import annotations

from dataclasses import dataclass, field

from registry_mesh.replication.removal import Guarded


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One thing to do. `size` is the whole of it in bytes, `new` what of that is neither here nor brought by an earlier
    step; None is not known."""

    to: str
    do: str
    """copy, move, delete or push."""
    source: str = ""
    digest: str = ""
    was: str = ""
    size: int | None = None
    new: int | None = None
    platforms: tuple[str, ...] | None = None
    rules: tuple[str, ...] = ()
    because: str = ""

    def bringing(self, new: int | None) -> Step:
        """The same, of which `new` bytes are neither here nor brought before. Spelled out: plans have a million."""
        return Step(
            self.to,
            self.do,
            self.source,
            self.digest,
            self.was,
            self.size,
            new,
            self.platforms,
            self.rules,
            self.because,
        )


@dataclass(frozen=True, slots=True, order=True)
class Waiting:
    """A tag that is not taken, or not deleted, before `until`."""

    ref: str
    digest: str
    until: float
    because: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Refused:
    """A tag that is not taken."""

    ref: str
    rules: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True, order=True)
class Conflict:
    """A target that several sources would write: who, and what is said of it; `stopped` where none writes."""

    to: str
    writers: tuple[str, ...]
    because: str
    stopped: bool


@dataclass(slots=True)
class Plan:
    """All steps, sorted by what they write; and what is not done, with the reason."""

    node: str
    now: float
    rules: str
    """The digest of the rules."""
    sources: list[tuple[str, float]] = field(default_factory=list)
    """Registries, and when the oldest listing of each was made."""
    steps: list[Step] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    guard: tuple[Guarded, ...] = ()
    unknown: list[tuple[str, str]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    withheld: list[Step] = field(default_factory=list)
    """Deletions that the guard stops."""

    @property
    def stopped(self) -> bool:
        """Whether a person has to look before all of it can be done."""
        return any(each.stopped for each in self.guard) or any(each.stopped for each in self.conflicts)
