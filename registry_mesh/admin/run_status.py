"""What goes on at a node by itself, as its operator sees it at `/status`: runs of rules, scrubs, couriers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebhookStatus:
    """One receiver of an origin's events."""

    name: str
    to: str
    """Its address, without path and query."""
    waiting: int
    sent: int
    lost: int
    why: str
    """What keeps it from taking the next event; empty where nothing does."""
    failing_since: float
    """Seconds since the epoch; 0: it takes them."""


@dataclass(frozen=True, slots=True)
class RetentionStatus:
    """The last run of an origin's rules over its own tags. Times in seconds since the epoch; 0: none."""

    ended: float = 0.0
    repositories: int = 0
    """Those that rules take."""
    deleted: int = 0
    faults: Sequence[str] = ()
    """Why the rule files cannot be used; older ones are in force then."""
    faults_since: float = 0.0
    stopped: Sequence[StoppedStatus] = ()
    failed: str = ""
    """Why the run broke off."""


@dataclass(frozen=True, slots=True)
class ScrubStatus:
    """The walk over stored bytes under way, or the last one."""

    running: bool
    age_seconds: float | None
    """Since a walk was completed; None: never."""
    done: float | None
    """Share of the walk under way, 0 to 1."""
    read_bytes: int
    rotten: int
    repaired: int
    next_in_seconds: float | None
    """None: never."""
    budgeted: bool = False
    """A budget of bytes bounds it, however long it takes."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run of a replica's rules that has ended, at `ended` seconds since the epoch."""

    complete: bool
    ended: float
    tags: int
    held: int
    switched: int
    bytes: int
    failed: int
    troubles: Sequence[str]
    idle: Sequence[IdleStatus] = ()
    stopped: Sequence[StoppedStatus] = ()


@dataclass(frozen=True, slots=True)
class IdleStatus:
    """A rule that selects nothing of its registry, and where it stands."""

    rule: str
    registry: str
    place: str


@dataclass(frozen=True, slots=True)
class StoppedStatus:
    """Deletions that the guard of the rules stopped; `rules approve` of the digest `plan` lets them be done."""

    registry: str
    deletes: int
    tags: int
    guard: float
    plan: str


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """How far one rule has come in the run under way, or came in the last one."""

    rule: str
    tags: int
    held: int
    switched: int
    bytes: int
    bytes_left: int
    """Still to be moved; of a run that ended, what it did not move."""
    bytes_per_second: int = 0
    eta_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """An image of which bytes move now, as its source calls it; `to`: the repository where it goes under another name,
    empty where it keeps its own.

    `bytes`: that the run moves for it, in, and out where it is pushed. A blob of several images counts at each.
    """

    image: str
    to: str
    bytes: int
    bytes_left: int
    bytes_per_second: int
    eta_seconds: int | None


@dataclass(frozen=True, slots=True)
class ReplicationStatus:
    """The run of a replica's rules under way, and the last one."""

    phase: str
    tags: int
    tags_done: int
    bytes_done: int
    bytes_left: int
    bytes_per_second: int
    eta_seconds: int | None
    last: RunStatus | None
    rules: Sequence[RuleStatus] = ()
    faults: Sequence[str] = ()
    """Why the rule files cannot be used; the rules before them stay in force."""
    faults_since: float = 0.0
    trigger: str = ""
    """Of the run under way: `schedule`, `hand` or `push`; empty where none is."""
    began: float = 0.0
    """When it did, in seconds since the epoch; 0: none is under way."""
    images: Sequence[ImageStatus] = ()
    """Of those of which bytes move now, the 20 that lack least."""
    images_in_all: int = 0


@dataclass(frozen=True, slots=True)
class PreloadingStatus:
    """The last run of a site's rules, which bring images ahead of time. Times in seconds since the epoch; 0: none."""

    ended: float = 0.0
    images: int = 0
    here: int = 0
    failed: int = 0
    troubles: Sequence[str] = ()
    faults: Sequence[str] = ()
    """Why the rule files cannot be used; older ones are in force then."""
    faults_since: float = 0.0
