"""A node as its operator sees it at `/status`: values whose fields are the keys of the JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.admin.outage import OutageStatus
from registry_mesh.admin.run_status import (
    PreloadingStatus,
    ReplicationStatus,
    RetentionStatus,
    ScrubStatus,
    WebhookStatus,
)
from registry_mesh.findings.finding import Finding
from registry_mesh.ports.standing import Standing
from registry_mesh.telemetry.instruments import Table
from registry_mesh.telemetry.names import CACHE, CACHE_BYTES, RESULTS, SERVED_BYTES, Kind


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Where things are kept. Bytes are those of this machine's disk, None where not known or not bounded."""

    kind: str | None
    used_bytes: int | None
    quota_bytes: int | None
    fault: str | None
    """What keeps the disk from being written to."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One process that serves."""

    pid: int
    state: str
    since_seconds: float
    silent_seconds: float
    generation: int = 1
    """Which configuration it serves."""


@dataclass(frozen=True, slots=True)
class ParentStatus:
    """One parent, as the node sees it. Seconds are ages, or times to come; None where there is nothing to tell."""

    url: str
    state: str
    """unasked, up, silent, throttled or down."""
    since_seconds: float | None
    why: str
    """The cause of the state, in plain words; empty while it is up."""
    next_try_seconds: float | None
    latency_ms: float | None
    last_error: str
    last_error_seconds: float | None
    quota_remaining: int | None
    """Of the requests that the registry allows, where it says so."""
    quota_limit: int | None
    available_to: int
    """Processes of this node that would ask it now."""
    lies: int
    """How often it sent wrong bytes."""
    clock_ahead_seconds: float | None = None
    """By which this node's clock is ahead of its."""
    bytes_per_second: int | None = None
    """That its bodies brought lately."""
    slow_since_seconds: float | None = None
    """It is asked for blobs after the others for so long, for being slow."""
    slow_for_seconds: float | None = None
    denied_since_seconds: float | None = None
    """It does not take this node's login, or gives it nothing for want of one, for so long."""
    no_registry: int = 0
    """The status that it answers /v2/ with, where that is none of a registry's."""
    use: str = "standing_by"
    """What it is to its registry: in_use, standing_by, left_out, waiting or silent."""
    day_bytes: int | None = None
    """What came from it within 24 h."""
    price: str = ""
    """Of a byte from it, as configured."""
    lost: bool = False
    """It gave no answer when it was asked last, not even an error."""
    requests: int = 0
    """Sent to it since the start."""
    hedges: Mapping[str, int] = field(default_factory=dict)
    """How often it was later than usual since the start, by what came of asking another beside it: that one was first
    (won) or not (lost); denied: it was not asked, as the budget was used up."""
    cut_off_seconds: float | None = None
    """It answers, and says that none of its own parents of the registry does for so long."""


def parent_status(url: str, standing: Standing, now: float, available_to: int, lies: int) -> ParentStatus:
    """What `/status` says of a parent; `now` on the clock of `standing`."""

    def ago(moment: float | None) -> float | None:
        return None if moment is None else round(max(0.0, now - moment), 1)

    return ParentStatus(
        url=url,
        state=standing.state.value,
        since_seconds=ago(standing.since),
        why=standing.why,
        next_try_seconds=None if standing.again is None else round(max(0.0, standing.again - now), 1),
        latency_ms=None if standing.latency is None else round(standing.latency * 1000, 1),
        last_error=standing.error,
        last_error_seconds=ago(standing.error_at),
        quota_remaining=standing.quota.remaining if standing.quota else None,
        quota_limit=standing.quota.limit if standing.quota else None,
        available_to=available_to,
        lies=lies,
        clock_ahead_seconds=None if standing.clock_ahead is None else round(standing.clock_ahead, 1),
        bytes_per_second=None if standing.rate is None else round(standing.rate),
        slow_since_seconds=ago(standing.slow_since),
        denied_since_seconds=ago(standing.denied_since),
        no_registry=standing.no_registry,
        lost=standing.lost,
        slow_for_seconds=None if standing.slow_until is None else round(standing.slow_until - now, 1),
    )


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """One registry and its groups of parents."""

    default: bool
    parents: Sequence[Sequence[ParentStatus]]
    cache: CacheStatus | None = None
    """Of what was answered of its since the start."""
    outage: OutageStatus | None = None
    """None while a parent is asked."""


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """What was had without asking a parent; None where nothing was asked for yet."""

    hit_ratio_requests: float | None
    hit_ratio_bytes: float | None
    saved_bytes: int
    """Bytes that clients had and that did not cross the WAN."""


def cache_status(table: Table, registry: str | None = None) -> CacheStatus:
    """What the counters of all processes come to, of one registry or of all."""
    requests, sizes = dict.fromkeys(RESULTS, 0.0), dict.fromkeys(RESULTS, 0.0)
    for sample in table.used(CACHE, CACHE_BYTES):
        counts = requests if sample.metric is CACHE else sizes
        if registry in (None, sample.labels[0]):
            counts[sample.labels[2]] += sample.value
    return CacheStatus(share(requests), share(sizes), saved(sizes))


def saved(sizes: Mapping[str, float]) -> int:
    """Bytes that did not cross the WAN, of those that were sent, by results."""
    return int(sum(size for result, size in sizes.items() if result != "miss"))


def share(counts: Mapping[str, float]) -> float | None:
    """Of what was not a miss, by results; None where there was nothing."""
    total = sum(counts.values())
    return round(1 - counts["miss"] / total, 4) if total else None


@dataclass(frozen=True, slots=True)
class NowStatus:
    """What moves now; rates over the last ten seconds."""

    sent_bytes_per_second: int
    readers: int
    """Requests that are being answered."""
    upstream_bytes_per_second: int
    fills: int
    """Blobs on their way in."""
    fill_readers: int
    """Requests that follow them."""
    requests_per_second: float = 0.0
    cpu: float = 0.0
    """Processors that all processes keep busy: 0.31 is 31 % of one."""
    resident_bytes: int = 0
    """Memory of all processes; what they share counts in each."""
    first_byte_seconds: float = 0.0
    """The time to their heads that 99 of 100 answers from what is held kept within; 0.0 where there were none."""


@dataclass(frozen=True, slots=True)
class MoneyStatus:
    """What the links cost within 24 h, where parents have prices."""

    currency: str
    spent: float
    not_spent: float
    """That the saved bytes would have cost."""


@dataclass(frozen=True, slots=True)
class DayStatus:
    """The last 24 hours, over restarts; of a node that is younger, from `since` on (seconds since the epoch)."""

    since: float
    requests: int
    pulls: int
    """Requests for a manifest or a blob."""
    failures: int
    """Requests that could not be answered as asked, by no fault of the callers."""
    sent_bytes: int
    upstream_bytes: int
    saved_bytes: int
    """Bytes that clients had and that did not cross the WAN."""
    hit_ratio_requests: float | None
    hit_ratio_bytes: float | None
    evicted_bytes: int
    refetched_bytes: int
    """Fetched again within a week of being evicted."""
    replicated_bytes: int
    money: Sequence[MoneyStatus] = ()


@dataclass(frozen=True, slots=True)
class FindingStatus:
    """One thing that an operator should know. `since` is in seconds since the epoch."""

    name: str
    state: str
    subject: str
    since: float
    sentence: str
    evidence: Sequence[str]
    next: str
    registries: Sequence[str] = ()
    """Those whose requests it keeps from being answered; none: it is about no registry."""


def finding_status(finding: Finding) -> FindingStatus:
    """What is told of a finding."""
    return FindingStatus(
        finding.name,
        finding.state.value,
        finding.subject,
        round(finding.since, 1),
        finding.sentence,
        finding.evidence,
        finding.next,
        finding.registries,
    )


@dataclass(frozen=True, slots=True)
class FindingsStatus:
    """All findings of a node; `verdict` is one sentence of what is so."""

    node: str
    verdict: str
    looked_at: int
    findings: Sequence[FindingStatus]
    role: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The whole node."""

    role: str
    name: str
    version: str
    uptime_seconds: float
    ready: bool
    listen: str
    store: StoreStatus
    workers: Sequence[WorkerStatus]
    registries: Mapping[str, RegistryStatus]
    scrub: ScrubStatus | None
    replication: ReplicationStatus | None
    counters: Mapping[str, int | Mapping[str, int]]
    """Those that are not zero, by name, then by their labels' values joined with `/`."""
    generation: int = 1
    """Which configuration is in force, counted from the start of the node."""
    cache: CacheStatus | None = None
    """Of all that was answered since the start; an origin is no cache."""
    last_day: DayStatus | None = None
    now: NowStatus | None = None
    loaded: float = 0.0
    """When the configuration in force was read, in seconds since the epoch."""
    webhooks: Sequence[WebhookStatus] = ()
    retention: RetentionStatus | None = None
    preloading: PreloadingStatus | None = None
    verdict: str = ""
    """One sentence of what is so."""
    findings: Sequence[FindingStatus] = ()
    """What a person should know, the worst first."""
    siblings: Sequence[ParentStatus] = ()
    """The other servers of the site, which are asked before any parent."""


def counters(table: Table) -> dict[str, int | Mapping[str, int]]:
    """What `NodeStatus.counters` says: of all registries together, but for those of the cache."""
    plain: dict[str, int] = {}
    labelled: dict[str, dict[str, int]] = {}
    for sample in table.used():
        if sample.metric.kind is Kind.COUNTER:
            if sample.labels:
                of_all = "registry" in sample.metric.labels and sample.metric not in _BY_REGISTRY
                key = "/".join(sample.labels[1:] if of_all else sample.labels)
                counts = labelled.setdefault(sample.metric.name, {})
                counts[key] = counts.get(key, 0) + int(sample.value)
            else:
                plain[sample.metric.name] = int(sample.value)
    return {**plain, **labelled}


_BY_REGISTRY: Final = (CACHE, CACHE_BYTES, SERVED_BYTES)
