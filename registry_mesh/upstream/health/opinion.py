"""What a node thinks of a parent, from what each of its processes has seen of it.

Each process writes down what it saw, and nobody else writes there. The opinion is made of all that: who saw something
last is right. A process that begins, or that had no reason to ask, knows what the others know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.ports.standing import Quota, Standing, State

LEADS_BACK: Final = "leads back to this node, which is among its own parents: one must not name the other"

TOLD_LASTS: Final = 3600.0
"""Seconds for which the time that a parent told is gone by, and a rate of its bodies is worth telling."""

SLOW_LASTS: Final = 600.0
"""Seconds after which a parent that is slow again is so since then, and not since the time before."""

LASTS: Final = 15.0
"""Seconds after which a ping counts no more: none is out for so long, but its process may be dead."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one process saw of one parent. Times are of the monotonic clock, the same for all processes of a machine;
    0 stands for never. The order of the fields is their order in shared memory (`board`)."""

    answered_at: float = 0.0
    up_since: float = 0.0
    latency: float = 0.0
    failed_at: float = 0.0
    failures: float = 0.0
    """In a row."""
    down_since: float = 0.0
    again_at: float = 0.0
    pause: float = 0.0
    ping_at: float = 0.0
    """When a ping was sent that is out."""
    ping_limit: float = 0.0
    """Seconds after which it is silence."""
    throttle_status: float = 0.0
    throttled_since: float = 0.0
    throttled_until: float = 0.0
    error_at: float = 0.0
    quota_at: float = 0.0
    quota_left: float = 0.0
    quota_limit: float = 0.0
    quota_until: float = 0.0
    reached_at: float = 0.0
    """When it gave an answer of any kind, a server error included."""
    lost_at: float = 0.0
    """When it gave none."""
    named_at: float = 0.0
    """When it named itself and the nodes above it."""
    leads_back: float = 0.0
    """1 where this node is among them."""
    clock_at: float = 0.0
    """When it told its time last."""
    clock_ahead: float = 0.0
    """Seconds by which this machine's clock was ahead of its then."""
    pace: float = 0.0
    """Bytes a second that its bodies brought."""
    paced_at: float = 0.0
    slow_since: float = 0.0
    """Since when it is asked after the others for being slow."""
    slow_until: float = 0.0
    base_at: float = 0.0
    """When it answered GET /v2/ last."""
    base: float = 0.0
    """The status, where no registry gives that answer."""
    peak: float = 0.0
    """Seconds to an answer's head that few take longer than: it rises fast, and falls slowly."""
    least: float = 0.0
    """Seconds to an answer's head that few are quicker than: it falls at once, and rises slowly."""
    late_blobs: float = 0.0
    """Until when it is asked after the others for blobs, for another was the first to answer; so the next ones."""
    late_sizes: float = 0.0
    late_manifests: float = 0.0
    late_tags: float = 0.0
    late_lists: float = 0.0
    late_referrers: float = 0.0
    late_maps: float = 0.0


@dataclass(frozen=True, slots=True)
class Opinion:
    """What all that comes to. `reporter`: whose facts tell of the last failure, an index; None: nobody's do."""

    answered_at: float
    up_since: float
    latency: float
    failures: int
    down_since: float
    again_at: float
    pause: float
    throttle: tuple[int, float, float]
    """The status, since when, until when."""
    reporter: int | None
    error_at: float
    lost: bool
    """It gave no answer of any kind when it was asked last."""
    leads_back: bool
    """It names this node among its own parents, or theirs."""
    named_at: float
    """When it named them last."""
    peak: float
    least: float

    @property
    def down(self) -> bool:
        """Whether the parent is taken to be down."""
        return self.down_since > 0


def opinion(seen: Sequence[Facts]) -> Opinion:
    """Of what the processes of a node saw, at least one."""
    last = max(seen, key=lambda facts: facts.answered_at)
    troubled = [facts for facts in seen if facts.failed_at > last.answered_at]
    down = [facts for facts in troubled if facts.down_since]
    throttled = max(seen, key=lambda facts: facts.throttled_until)
    reporter = max(range(len(seen)), key=lambda index: seen[index].error_at)
    named = max(seen, key=lambda facts: facts.named_at)
    return Opinion(
        answered_at=last.answered_at,
        up_since=max(facts.up_since for facts in seen),
        latency=last.latency,
        failures=int(sum(facts.failures for facts in troubled)),
        down_since=min((facts.down_since for facts in down), default=0.0),
        again_at=max((facts.again_at for facts in down), default=0.0),
        pause=max((facts.pause for facts in down), default=0.0),
        throttle=(
            int(throttled.throttle_status),
            throttled.throttled_since,
            throttled.throttled_until,
        ),
        reporter=reporter if seen[reporter].error_at else None,
        error_at=seen[reporter].error_at,
        lost=max(facts.lost_at for facts in seen) > max(facts.reached_at for facts in seen),
        leads_back=named.leads_back > 0,
        named_at=named.named_at,
        peak=last.peak,
        least=last.least,
    )


def silent_since(seen: Sequence[Facts], heard: float, now: float) -> float:
    """Since when a ping is out for so long that nobody waits for the parent; 0.0 where none is."""
    answered = max(facts.answered_at for facts in seen)
    pings = [facts for facts in seen if facts.ping_at and now - facts.ping_at < LASTS]
    silent = [
        facts.ping_at for facts in pings if max(facts.ping_at, heard, answered) + facts.ping_limit <= now
    ]
    return min(silent, default=0.0)


def standing(seen: Sequence[Facts], heard: float, error: str, now: float) -> Standing:
    """What the operator is told. `heard`: when bytes of a body came last; `error`: what went wrong last."""
    known = opinion(seen)
    state, since, why, again = _state(seen, known, heard, error, now)
    return Standing(
        state=state,
        since=since or None,
        why=why,
        again=again,
        latency=known.latency if known.answered_at else None,
        error=error,
        error_at=known.error_at or None,
        quota=quota(seen, now),
        lost=known.lost or state is State.SILENT,
        clock_ahead=_clock(seen, now),
        rate=_rate(seen, now),
        no_registry=base(seen),
        slow_since=min((facts.slow_since for facts in seen if facts.slow_until > now), default=None),
        slow_until=max((facts.slow_until for facts in seen if facts.slow_until > now), default=None),
    )


def _state(
    seen: Sequence[Facts], known: Opinion, heard: float, error: str, now: float
) -> tuple[State, float, str, float | None]:
    status, throttled_since, until = known.throttle
    if known.down:
        return State.DOWN, known.down_since, error, known.again_at
    if known.leads_back:
        return State.DOWN, max(facts.named_at for facts in seen), LEADS_BACK, None
    if since := silent_since(seen, heard, now):
        return State.SILENT, since, "accepts, and does not answer a ping", None
    if until > now:
        return State.THROTTLED, throttled_since, f"answered {status} and asked for patience", until
    if known.answered_at:
        return State.UP, known.up_since, "", None
    return State.UNASKED, 0.0, "", None


def _clock(seen: Sequence[Facts], now: float) -> float | None:
    last = max(seen, key=lambda facts: facts.clock_at)
    return last.clock_ahead if last.clock_at and now - last.clock_at < TOLD_LASTS else None


def base(seen: Sequence[Facts]) -> int:
    """The status by which it answered GET /v2/ last, where no registry gives that; else 0."""
    return int(max(seen, key=lambda facts: facts.base_at).base)


def _rate(seen: Sequence[Facts], now: float) -> float | None:
    last = max(seen, key=lambda facts: facts.paced_at)
    return last.pace if last.paced_at and now - last.paced_at < TOLD_LASTS else None


def quota(seen: Sequence[Facts], now: float) -> Quota | None:
    """What is left of what the parent allows; None where it does not say, or its time is over."""
    last = max(seen, key=lambda facts: facts.quota_at)
    if not last.quota_at or 0 < last.quota_until <= now:
        return None
    limit = int(last.quota_limit) if last.quota_limit else None
    return Quota(int(last.quota_left), limit, last.quota_until or None, last.quota_at)
