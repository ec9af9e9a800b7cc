"""Every metric and phase by its name, once. Dashboards, alerts and tests read them here.

Labels come from small closed sets: never a digest, a repository or a client. The set of parents is closed
too, by the node's configuration.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "registry_mesh_"

Labels = Mapping[str, tuple[str, ...] | None]
"""Each label with its values; None: they come from the configuration."""


class Kind(enum.Enum):
    """The kinds of instruments, as Prometheus names them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Merge(enum.Enum):
    """How the rows of several processes become one value of a gauge."""

    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `bounds` are a histogram's upper bounds, in `unit`s of its name (seconds, bytes)."""

    name: str
    kind: Kind
    help: str
    labels: Labels = field(default_factory=dict, hash=False)
    bounds: tuple[float, ...] = ()
    merge: Merge = Merge.SUM
    scale: int = 1
    """A stored integer is the value times this: seconds are kept as nanoseconds."""
    absent: bool = False
    """Whether there may be no value: a gauge is kept as one more than it is, and has no series at 0."""


_NANO: Final = 10**9
_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)

ENDPOINTS: Final = (
    "base",
    "blob",
    "manifest",
    "tags",
    "upload",
    "referrers",
    "catalog",
    "extension",
    "other",
)
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other")
CODES: Final = ("2xx", "3xx", "4xx", "5xx")
CACHED: Final = ("blob", "manifest", "tag")
OTHER: Final = "other"
"""A registry that the configuration does not name."""
RESULTS: Final = ("hit", "bucket", "sibling", "joined", "miss", "stale")
"""Of these only a miss cost the link anything. bucket, sibling: it was not on the server's own disk, and came whole of
the site's bucket, or of that and its other servers; joined: it followed what was brought for another request."""
SOURCES: Final = ("store", "sibling", "parent")
OUTCOMES: Final = ("complete", "failed")
HEDGED: Final = ("won", "lost", "denied")
"""What comes of asking another parent beside one that is later than usual: see `HEDGES`."""
ANSWERS: Final = ("ok", "not_modified", "unknown", "denied", "throttled", "error", "unreachable")

STORED: Final = ("pinned", "whole", "part", "other")
"""What stored bytes are of: pinned images, other whole blobs, blobs in part, and uploads and the like."""
PARENT_STATES: Final = ("in_use", "standing_by", "left_out", "waiting", "silent")
LISTENERS: Final = ("clients", "operators")
FINDINGS: Final = (
    "own-link-down", "offline", "grace-ending", "parent-slow", "parent-down", "parent-stale", "parent-lies",
    "parent-denied", "readers-missing",
    "tls-untrusted", "throttled", "loop", "clock-off", "pulls-fail", "hits-slow", "store-fault", "store-full",
    "store-thrash", "store-small", "store-slow", "rot", "scrub-old", "audit-held", "limits-low",
    "memory-low", "workers-die", "reload-failed", "access-invalid", "files-invalid", "rules-invalid",
    "rule-empty", "guard-stopped", "replication-behind", "behind", "certificate-ending", "webhook-down",
    "unknown-registry", "format-newer",
)  # fmt: skip
"""Diagnoses, as `findings` names them."""
FINDING_STATES: Final = ("broken", "warn")
SIDES: Final = ("caller", "parent", "store", "node")
REASONS: Final = (
    "unknown", "denied", "unauthorized", "invalid", "unsupported", "conflict", "too_large", "too_many", "range",
    "precondition", "down", "unavailable", "throttled", "refused", "login", "lied", "full", "broken", "busy",
    "unexpected",
)  # fmt: skip
"""Why a request was not answered as asked."""

REQUESTS: Final = Metric(
    "requests_total", Kind.COUNTER, "Requests answered",
    {"registry": None, "endpoint": ENDPOINTS, "method": METHODS, "code": CODES},
)  # fmt: skip
REQUEST_SECONDS: Final = Metric(
    "request_seconds", Kind.HISTOGRAM, "Time from a request to the end of its answer",
    {"endpoint": ENDPOINTS}, bounds=_SECONDS, scale=_NANO,
)  # fmt: skip
SENT_BYTES: Final = Metric(
    "sent_bytes_total", Kind.COUNTER, "Bytes of bodies sent to clients", {"endpoint": ENDPOINTS}
)
REDIRECTED_BYTES: Final = Metric(
    "redirected_bytes_total",
    Kind.COUNTER,
    "Bytes for which clients were sent to the bucket, as they asked for them",
)
RECEIVED_BYTES: Final = Metric(
    "received_bytes_total", Kind.COUNTER, "Bytes of bodies received from clients", {"endpoint": ENDPOINTS}
)
REQUESTS_RUNNING: Final = Metric("requests_running", Kind.GAUGE, "Requests being answered now")
REQUESTS_LIMIT: Final = Metric(
    "requests_limit", Kind.GAUGE, "Requests that may be answered at once by all processes; beyond, 503"
)
AUDIT_HELD: Final = Metric(
    "audit_lines_held", Kind.GAUGE, "Lines of the audit log that its disk has not taken, and that are held"
)
AUDIT_LOST: Final = Metric(
    "audit_lines_lost_total",
    Kind.COUNTER,
    "Lines of the audit log that are lost: its disk took nothing, and they were too many to be held",
)
CACHE: Final = Metric(
    "cache_total",
    Kind.COUNTER,
    "Answers by how they were had",
    {"registry": None, "kind": CACHED, "result": RESULTS},
)
SERVED_BYTES: Final = Metric(
    "served_bytes_total",
    Kind.COUNTER,
    "Bytes of bodies sent to clients, by where they came from",
    {"registry": None, "source": SOURCES},
)
UPSTREAM_REQUESTS: Final = Metric(
    "upstream_requests_total", Kind.COUNTER, "Requests sent to parents", {"parent": None, "answer": ANSWERS}
)
UPSTREAM_BYTES: Final = Metric(
    "upstream_bytes_total",
    Kind.COUNTER,
    "Bytes of bodies received from parents",
    {"registry": None, "parent": None},
)
SIBLING_BYTES: Final = Metric(
    "sibling_bytes_total",
    Kind.COUNTER,
    "Bytes of bodies received from other servers of the site, instead of from parents",
    {"registry": None, "sibling": None},
)
PARENT_AVAILABLE: Final = Metric(
    "parent_available", Kind.GAUGE, "Processes that would ask this parent now", {"parent": None}
)
LIES: Final = Metric(
    "lies_total",
    Kind.COUNTER,
    "Wrong bytes, lengths or ranges that a parent sent; no wrong blob was kept",
    {"registry": None, "parent": None},
)
HEDGES: Final = Metric(
    "hedges_total",
    Kind.COUNTER,
    "Answers later than usual, for which a second parent was asked beside this one: it was first (won) or not (lost); "
    "denied: the budget was used up",
    {"parent": None, "outcome": HEDGED},
)
STORE_USED: Final = Metric("store_used_bytes", Kind.GAUGE, "Bytes stored", {"kind": STORED}, merge=Merge.MAX)
STORE_QUOTA: Final = Metric(
    "store_quota_bytes", Kind.GAUGE, "Bytes that may be stored; 0: no bound", merge=Merge.MAX
)
ROTTEN: Final = Metric("rotten_total", Kind.COUNTER, "Stored chunks found not to have their digest any more")
SCRUBBED_BYTES: Final = Metric(
    "scrubbed_bytes_total", Kind.COUNTER, "Stored bytes read again in search of rot"
)
REPAIRED: Final = Metric(
    "repaired_total", Kind.COUNTER, "Rotten chunks that the scrub brought anew from a parent"
)
SCRUBBED_AT: Final = Metric(
    "scrubbed_timestamp_seconds", Kind.GAUGE, "When all that is held was last read again", merge=Merge.MAX
)
STORE_FAULTY: Final = Metric(
    "store_faulty", Kind.GAUGE, "1: the store cannot be written to; pulls go on without it", merge=Merge.MAX
)
EVICTED_IDLE: Final = Metric(
    "evicted_idle_seconds",
    Kind.GAUGE,
    "How long what was last evicted had not been used; 0: nothing was",
    merge=Merge.MAX,
)
EVICTED_BYTES: Final = Metric("evicted_bytes_total", Kind.COUNTER, "Bytes evicted to make room")
REFETCHED_BYTES: Final = Metric(
    "refetched_bytes_total", Kind.COUNTER, "Bytes fetched that had been evicted within seven days"
)
REPLICATIONS: Final = Metric("replications_total", Kind.COUNTER, "Runs of the rules", {"outcome": OUTCOMES})
REPLICATED_BYTES: Final = Metric("replicated_bytes_total", Kind.COUNTER, "Bytes brought by runs of the rules")
REPLICATED_AT: Final = Metric(
    "replicated_timestamp_seconds", Kind.GAUGE, "When the last complete run ended", merge=Merge.MAX
)
WORKERS: Final = Metric("workers", Kind.GAUGE, "Processes that serve now", merge=Merge.MAX)
WORKER_RESTARTS: Final = Metric(
    "worker_restarts_total", Kind.COUNTER, "Processes that died and were started again"
)
RELOAD_OK: Final = Metric(
    "config_last_reload_successful", Kind.GAUGE, "1: the last reload took effect; 0: the old configuration holds",
    merge=Merge.MAX,
)  # fmt: skip
DRAINING: Final = Metric("draining", Kind.GAUGE, "1: shutting down", merge=Merge.MAX)

FINDING: Final = Metric(
    "finding", Kind.GAUGE, "1 while a diagnosis holds; status, doctor and the log use the same names",
    {"finding": FINDINGS, "state": FINDING_STATES}, merge=Merge.MAX,
)  # fmt: skip
CERTIFICATE_EXPIRY: Final = Metric(
    "certificate_expiry_timestamp_seconds", Kind.GAUGE, "When a listener's certificate ends; absent where it has none",
    {"listener": LISTENERS}, merge=Merge.MAX,
)  # fmt: skip
FAILURES: Final = Metric(
    "failures_total", Kind.COUNTER, "Requests that could not be answered as asked, by whose side it was and why",
    {"registry": None, "side": SIDES, "reason": REASONS},
)  # fmt: skip

CACHE_BYTES: Final = Metric(
    "cache_bytes_total", Kind.COUNTER, "Bytes of a cache's answers and redirects by source; only misses crossed a WAN",
    {"registry": None, "kind": CACHED, "result": RESULTS},
)  # fmt: skip
FIRST_BYTE: Final = Metric(
    "first_byte_seconds", Kind.HISTOGRAM, "Time from a request to the head of its answer, of a cache's answers",
    {"cache": RESULTS}, bounds=_SECONDS, scale=_NANO,
)  # fmt: skip
FILLS: Final = Metric("fills_running", Kind.GAUGE, "Blobs on their way in")
FILL_READERS: Final = Metric("fill_readers", Kind.GAUGE, "Readers that follow them")
PARENT_LATENCY: Final = Metric(
    "parent_latency_seconds", Kind.GAUGE, "Time to the head of a parent's answer, moving mean; absent before the first",
    {"registry": None, "parent": None}, merge=Merge.MAX, scale=_NANO,
)  # fmt: skip
PARENT_RATE: Final = Metric(
    "parent_rate_bytes_per_second", Kind.GAUGE, "What bodies of a parent brought lately; absent where none did",
    {"registry": None, "parent": None}, merge=Merge.MAX,
)  # fmt: skip
PARENT_PRICE: Final = Metric(
    "parent_price_per_byte", Kind.GAUGE, "Configured price of a byte from this parent",
    {"registry": None, "parent": None, "currency": None}, merge=Merge.MAX, scale=10**18,
)  # fmt: skip
GRACE_ENDS: Final = Metric(
    "grace_ends_timestamp_seconds", Kind.GAUGE,
    "When tags are no longer answered without parents; absent while one answers", {"registry": None},
    merge=Merge.MAX,
)  # fmt: skip
CLOCK_OFFSET: Final = Metric(
    "clock_offset_seconds", Kind.GAUGE, "This clock minus the middle of what parents sent within an hour",
    scale=_NANO,
)  # fmt: skip
PULLS_LEFT: Final = Metric(
    "upstream_pulls_left", Kind.GAUGE, "Pulls that the parents of a registry say are left; absent where none says",
    {"registry": None}, merge=Merge.MAX, absent=True,
)  # fmt: skip
PARENT_STATE: Final = Metric(
    "parent_state", Kind.GAUGE, "1 for the state a parent is in",
    {"registry": None, "parent": None, "state": PARENT_STATES},
    merge=Merge.MAX,
)  # fmt: skip
SIBLING_LATENCY: Final = Metric(
    "sibling_latency_seconds", Kind.GAUGE,
    "Time to the head of an answer of another server of the site, moving mean; absent before the first",
    {"sibling": None}, merge=Merge.MAX, scale=_NANO,
)  # fmt: skip
SIBLING_RATE: Final = Metric(
    "sibling_rate_bytes_per_second", Kind.GAUGE,
    "What bodies of another server of the site brought lately; absent where none did",
    {"sibling": None}, merge=Merge.MAX,
)  # fmt: skip
SIBLING_STATE: Final = Metric(
    "sibling_state", Kind.GAUGE, "1 for the state that another server of the site is in",
    {"sibling": None, "state": PARENT_STATES}, merge=Merge.MAX,
)  # fmt: skip
STORE_FREE: Final = Metric(
    "store_free_bytes", Kind.GAUGE, "Bytes that the store's file system has left for us", merge=Merge.MAX
)
STORE_SIZE: Final = Metric(
    "store_size_bytes", Kind.GAUGE, "Bytes of the store's file system", merge=Merge.MAX
)
RULE_FAULTS: Final = Metric(
    "rule_faults", Kind.GAUGE, "Faults that keep the rule files from being used", merge=Merge.MAX
)
CPU_SECONDS: Final = Metric(
    "cpu_seconds_total", Kind.COUNTER, "Processor time of all processes of the node", scale=_NANO
)
RESIDENT: Final = Metric(
    "resident_memory_bytes", Kind.GAUGE, "Resident memory of all processes; shared pages count in each",
    merge=Merge.MAX,
)  # fmt: skip
OPEN_FILES: Final = Metric("open_files", Kind.GAUGE, "Open files of all processes", merge=Merge.MAX)
OPEN_FILES_LIMIT: Final = Metric(
    "open_files_limit", Kind.GAUGE, "Files that one process may have open", merge=Merge.MAX
)
CONFIG_LOADED: Final = Metric(
    "config_loaded_timestamp_seconds", Kind.GAUGE, "When the configuration in force was read", merge=Merge.MAX
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

REPLICATE: Final = "replicate"
