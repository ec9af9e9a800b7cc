"""Every alert: when it fires, for how long it must hold, what it says, and series on which it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.telemetry import names
from registry_mesh.telemetry.names import PREFIX, Metric


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `sample` makes it fire after 80 minutes and say `said`, with `labels` beside its own."""

    name: str
    expression: str
    held: str
    severity: str
    says: str
    finding: str
    """Its name in the handbook."""
    sample: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Series and their values, in promtool's notation, a minute a step."""
    said: str = ""
    """The sentence for the sample, where more is filled in than the node's name."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


WHO: Final = "{{ or $labels.name $labels.instance }}"
"""The node's name, where whoever scrapes it gives one."""
ONE: Final = 'instance="s:5001"'
JOB: Final = 'job="registry-mesh"'
_PERCENT: Final = "{{ $value | humanizePercentage }}"
_SPAN: Final = "{{ $value | humanizeDuration }}"
_COUNT: Final = '{{ $value | printf "%.0f" }}'
_P: Final = 'registry="r.example",parent="p:1"'
_OF_P: Final = {"registry": "r.example", "parent": "p:1"}


def full(metric: Metric, selector: str = "") -> str:
    """The name of a metric as Prometheus has it, with a selector."""
    return f"{PREFIX}{metric.name}{selector}"


BROKEN: Final = frozenset(
    {"own-link-down", "guard-stopped", "format-newer", "parent-denied", "readers-missing", "tls-untrusted"}
)
"""Findings of alerts below that are broken, and not only worth a look."""


def _of_finding(name: str, held: str, says: str, title: str = "", *, broken: bool = False) -> Alert:
    """`broken`: it is, where the finding is one to be looked at."""
    state = "broken" if name in BROKEN else "warn"
    series = full(names.FINDING, f'{{{ONE},finding="{name}",state="{state}"}}')
    title = title or "".join(word.capitalize() for word in name.split("-"))
    return Alert(
        f"RegistryMesh{title}",
        f'{full(names.FINDING, f"""{{finding="{name}"}}""")} > 0',
        held,
        "critical" if state == "broken" or broken else "warning",
        says,
        name,
        {series: "1x90"},
        labels={"state": state},
    )


_PULLS: Final = (
    Alert(
        "RegistryMeshDown", f"up{{{JOB}}} == 0", "2m", "critical",
        f"{WHO} does not answer for 2 min; its clients ask their next mirror.", "node-down",
        {f"up{{{ONE},{JOB}}}": "0x90"}, labels={"job": "registry-mesh"},
    ),
    Alert(
        "RegistryMeshPullsFail", "registry_mesh:failed:ratio_rate5m > 0.01", "5m", "critical",
        f"{_PERCENT} of what is asked at {WHO} fails, not by the callers' fault; registry_mesh_failures_total says "
        "why.",
        "pulls-fail",
        {
            full(names.FAILURES, f'{{{ONE},side="parent",reason="down"}}'): "0+30x90",
            full(names.REQUESTS, f'{{{ONE},endpoint="blob",method="GET",code="5xx"}}'): "0+300x90",
        },
        "10% of what is asked at s:5001 fails, not by the callers' fault; registry_mesh_failures_total says why.",
    ),
    Alert(
        "RegistryMeshHitsSlow",
        f"histogram_quantile(0.99, sum by (instance, name, le) (rate({full(names.FIRST_BYTE)}_bucket"
        '{cache="hit"}[5m]))) > 0.1',
        "10m", "warning",
        f"What {WHO} holds takes {_SPAN} to its first byte (p99): its disk or its processors are too busy.",
        "hits-slow",
        {
            full(names.FIRST_BYTE, f'_bucket{{{ONE},cache="hit",le="0.1"}}'): "0x90",
            full(names.FIRST_BYTE, f'_bucket{{{ONE},cache="hit",le="0.5"}}'): "0+60x90",
            full(names.FIRST_BYTE, f'_bucket{{{ONE},cache="hit",le="+Inf"}}'): "0+60x90",
        },
        "What s:5001 holds takes 496ms to its first byte (p99): its disk or its processors are too busy.",
    ),
    Alert(
        "RegistryMeshNearLimit",
        f"{full(names.REQUESTS_RUNNING)} / {full(names.REQUESTS_LIMIT)} > 0.8 or "
        f"{full(names.OPEN_FILES)} / {full(names.OPEN_FILES_LIMIT)} > 0.8",
        "5m", "warning",
        f"{WHO} uses {_PERCENT} of the requests or files it may have; beyond, clients get 503.", "limits-low",
        {full(names.OPEN_FILES, f"{{{ONE}}}"): "900x90", full(names.OPEN_FILES_LIMIT, f"{{{ONE}}}"): "1000x90"},
        "s:5001 uses 90% of the requests or files it may have; beyond, clients get 503.",
    ),
)  # fmt: skip

_PARENTS: Final = (
    Alert(
        "RegistryMeshOffline",
        f'sum by (instance, name, registry) ({full(names.PARENT_STATE)}{{state=~"in_use|standing_by"}} or '
        f"0 * {full(names.PARENT_STATE)}) == 0",
        "2m", "critical",
        f"No parent of {{{{ $labels.registry }}}} answers {WHO}: what is held goes on, all else is refused.", "offline",
        {full(names.PARENT_STATE, f'{{{ONE},{_P},state="silent"}}'): "1x90"},
        "No parent of r.example answers s:5001: what is held goes on, all else is refused.",
        {"registry": "r.example"},
    ),
    Alert(
        "RegistryMeshGraceEnding", f"{full(names.GRACE_ENDS)} - time() < 5 * 86400", "0m", "critical",
        f"{WHO} answers tags of {{{{ $labels.registry }}}} for {_SPAN} more, then digests only.", "grace-ending",
        {full(names.GRACE_ENDS, f'{{{ONE},registry="r.example"}}'): "177600x90"},
        "s:5001 answers tags of r.example for 2d 0h 0m 0s more, then digests only.", {"registry": "r.example"},
    ),
    Alert(
        "RegistryMeshParentOut", f'{full(names.PARENT_STATE)}{{state=~"left_out|silent"}} == 1', "30m", "warning",
        f"{WHO} has left out {{{{ $labels.parent }}}} for half an hour ({{{{ $labels.state }}}}); others stand in.",
        "parent-slow", {full(names.PARENT_STATE, f'{{{ONE},{_P},state="left_out"}}'): "1x90"},
        "s:5001 has left out p:1 for half an hour (left_out); others stand in.", {**_OF_P, "state": "left_out"},
    ),
    Alert(
        "RegistryMeshParentLies", f"increase({full(names.LIES)}[1h]) > 0", "0m", "warning",
        f"{{{{ $labels.parent }}}} sent wrong bytes to {WHO} {_COUNT} times in an hour; no wrong blob was kept. "
        "Its disk, its link, or worse.",
        "parent-lies", {full(names.LIES, f"{{{ONE},{_P}}}"): "0+1x90"},
        "p:1 sent wrong bytes to s:5001 60 times in an hour; no wrong blob was kept. Its disk, its link, or worse.",
        _OF_P,
    ),
    Alert(
        "RegistryMeshThrottled", f'{full(names.PARENT_STATE)}{{state="waiting"}} == 1', "10m", "warning",
        f"{{{{ $labels.parent }}}} lets {WHO} pull nothing for now (429); what is held goes on.", "throttled",
        {full(names.PARENT_STATE, f'{{{ONE},{_P},state="waiting"}}'): "1x90"},
        "p:1 lets s:5001 pull nothing for now (429); what is held goes on.", {**_OF_P, "state": "waiting"},
    ),
    Alert(
        "RegistryMeshLinkDear",
        "registry_mesh:spent_money:increase1d > 2 * avg_over_time(registry_mesh:spent_money:increase1d[7d]) and "
        "registry_mesh:spent_money:increase1d > 50",
        "1h", "warning",
        f"{WHO} spent {_COUNT} {{{{ $labels.currency }}}} on its link in a day, over twice its usual.", "link-dear",
    ),
    _of_finding(
        "own-link-down", "2m", f"No parent of {WHO} answers, all at once: its own link, or its names, are down."
    ),
    _of_finding("parent-slow", "30m", f"A parent of {WHO} has been far slower than another for half an hour."),
    _of_finding("loop", "10m", f"A parent of {WHO} leads back to it: one must not name the other."),
    _of_finding("parent-down", "30m", f"A parent of {WHO} has not answered for half an hour; others stand in."),
    _of_finding("parent-stale", "30m", f"A parent of {WHO} has been cut off itself for half an hour; others are not."),
    _of_finding("parent-denied", "5m", f"A parent of {WHO} does not take its credentials, or wants some."),
    _of_finding("readers-missing", "5m", f"A registry of {WHO} is served to nobody: no line says who may read it."),
    _of_finding("tls-untrusted", "5m", f"A parent of {WHO} shows a certificate that is not trusted."),
)  # fmt: skip

_STORE: Final = (
    Alert(
        "RegistryMeshStoreFault", f"{full(names.STORE_FAULTY)} == 1", "1m", "critical",
        f"The store of {WHO} cannot be written to; pulls go on past it and cost the link.", "store-fault",
        {full(names.STORE_FAULTY, f"{{{ONE}}}"): "1x90"},
    ),
    Alert(
        "RegistryMeshStoreThrash", "registry_mesh:thrash:ratio_rate1d > 0.2", "1h", "warning",
        f"{_PERCENT} of what {WHO} evicts is fetched again within a week: its store is too small or too much is "
        "pinned.",
        "store-thrash",
        {full(names.EVICTED_BYTES, f"{{{ONE}}}"): "0+1000x90", full(names.REFETCHED_BYTES, f"{{{ONE}}}"): "0+500x90"},
        "50% of what s:5001 evicts is fetched again within a week: its store is too small or too much is pinned.",
    ),
    Alert(
        "RegistryMeshStoreFull",
        f"sum by (instance, name) ({full(names.STORE_USED)}) / on (instance, name) {full(names.STORE_QUOTA)} > 0.95 "
        f'and on (instance) {PREFIX}build_info{{role!="site"}}',
        "15m", "critical",
        f"{WHO} is {_PERCENT} full and evicts nothing: pushes and replication will be refused.", "store-full",
        {
            full(names.STORE_USED, f"{{{ONE}}}"): "96x90", full(names.STORE_QUOTA, f"{{{ONE}}}"): "100x90",
            f'{PREFIX}build_info{{{ONE},role="origin"}}': "1x90",
        },
        "s:5001 is 96% full and evicts nothing: pushes and replication will be refused.",
    ),
    Alert(
        "RegistryMeshRot", f"increase({full(names.ROTTEN)}[1d]) > 0", "0m", "warning",
        f"{_COUNT} stored chunks of {WHO} had rotted in a day; they were fetched anew. Look at its disk.", "rot",
        {full(names.ROTTEN, f"{{{ONE}}}"): "0x30 3x60"},
        "3 stored chunks of s:5001 had rotted in a day; they were fetched anew. Look at its disk.",
    ),
    Alert(
        "RegistryMeshScrubOld", f"time() - {full(names.SCRUBBED_AT)} > 14 * 86400", "1h", "warning",
        f"What {WHO} holds was last read again {_SPAN} ago; raise scrub.rate.", "scrub-old",
        {full(names.SCRUBBED_AT, f"{{{ONE}}}"): "-1382400x90"},
        "What s:5001 holds was last read again 16d 1h 20m 0s ago; raise scrub.rate.",
    ),
    _of_finding(
        "store-small", "15m", f"A blob that {WHO} was asked for is larger than its store: each pull fetches it again."
    ),
    _of_finding("store-slow", "30m", f"The disk of {WHO} takes long for each read: it has too much to do."),
    _of_finding("format-newer", "0m", f"The store of {WHO} was written by a newer version: upgrade it."),
)  # fmt: skip

_NODE: Final = (
    Alert(
        "RegistryMeshReloadFailed", f"{full(names.RELOAD_OK)} == 0", "5m", "warning",
        f"{WHO} did not take its new configuration; the old one is in force.", "reload-failed",
        {full(names.RELOAD_OK, f"{{{ONE}}}"): "0x90"},
    ),
    Alert(
        "RegistryMeshWorkersDie", f"increase({full(names.WORKER_RESTARTS)}[15m]) > 3", "0m", "critical",
        f"{_COUNT} processes of {WHO} died in 15 min and were started again.", "workers-die",
        {full(names.WORKER_RESTARTS, f"{{{ONE}}}"): "0+1x90"},
        "15 processes of s:5001 died in 15 min and were started again.",
    ),
    Alert(
        "RegistryMeshCertificateEnding", f"{full(names.CERTIFICATE_EXPIRY)} - time() < 14 * 86400", "1h", "warning",
        f"The certificate of {WHO} ({{{{ $labels.listener }}}}) ends in {_SPAN}.", "certificate-ending",
        {full(names.CERTIFICATE_EXPIRY, f'{{{ONE},listener="clients"}}'): "86400x90"},
        "The certificate of s:5001 (clients) ends in 22h 40m 0s.", {"listener": "clients"},
    ),
    Alert(
        "RegistryMeshClockOff", f"abs({full(names.CLOCK_OFFSET)}) > 60", "5m", "critical",
        f"The clock of {WHO} is {_SPAN} off its parents'; heads seem to have ended or not begun.", "clock-off",
        {full(names.CLOCK_OFFSET, f"{{{ONE}}}"): "-660x90"},
        "The clock of s:5001 is 11m 0s off its parents'; heads seem to have ended or not begun.",
    ),
    _of_finding("behind", "5m", f"No run of the rules of {WHO} was complete for long."),
    _of_finding(
        "behind", "1h", f"No run of the rules of {WHO} was complete for very long: new images do not reach its jobs.",
        "FarBehind", broken=True,
    ),
    _of_finding("memory-low", "15m", f"{WHO} uses over 90 % of the memory that it may have."),
    _of_finding("audit-held", "5m", f"The disk of the audit log of {WHO} takes nothing; lines are held or lost."),
    _of_finding("unknown-registry", "1h", f"Nodes ask {WHO} for a registry that it does not serve."),
    _of_finding("webhook-down", "30m", f"A receiver of {WHO}'s events takes none; they wait."),
    _of_finding("access-invalid", "5m", f"{WHO} cannot use its access files; the old ones are in force."),
    _of_finding(
        "files-invalid", "5m",
        f"{WHO} cannot use files that its configuration names, such as a certificate; what they said last is in force.",
    ),
    _of_finding("rules-invalid", "5m", f"{WHO} cannot use its rule files; the old rules are in force."),
    _of_finding("rule-empty", "1h", f"A rule of {WHO} selects nothing."),
    _of_finding("guard-stopped", "0m", f"The rules of {WHO} would delete more than the guard allows; nothing was."),
    _of_finding("replication-behind", "1h", f"{WHO} does not hold all that its rules want."),
)  # fmt: skip

_SILENT: Final = f'up{{{JOB}}} == 0 and on (instance) last_over_time({PREFIX}build_info{{role="site"}}[1d])'
"""Sites that cannot be scraped, and could be within a day."""
_GONE: Final = {f'{PREFIX}build_info{{{ONE},role="site"}}': "1x5", f"up{{{ONE},{JOB}}}": "0x90"}

_FLEET: Final = (
    Alert(
        "RegistryMeshSiteSilent", _SILENT, "15m", "warning",
        f"{WHO} has said nothing for a quarter of an hour; what it holds still pulls there.", "site-silent",
        _GONE, labels={"job": "registry-mesh"},
    ),
    Alert(
        "RegistryMeshManySitesSilent", f"count by (job) ({_SILENT}) > 10", "2m", "critical",
        f"{_COUNT} sites are silent at once: look at the network between here and them before at them.", "site-silent",
        {series.replace("s:5001", f"s{n}:5001"): told for n in range(14) for series, told in _GONE.items()},
        "14 sites are silent at once: look at the network between here and them before at them.",
        {"job": "registry-mesh"},
    ),
)  # fmt: skip

ALERTS: Final = (*_PULLS, *_PARENTS, *_STORE, *_NODE, *_FLEET)
