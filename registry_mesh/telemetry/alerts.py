"""Alert rules for Prometheus and their tests, made from the names of metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.telemetry import names
from registry_mesh.telemetry.names import PREFIX, Metric

DOCS: Final = "https://registry-mesh.example/"
"""Where the documentation is served, as `make site` builds it; `telemetry.handbook` writes another if it is told."""
HANDBOOK: Final = "docs/findings.html#"
"""The page and the anchors below it that alerts lead to."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: when it fires, for how long it must hold, what it says. `sample` makes it fire."""

    name: str
    expression: str
    held: str
    severity: str
    says: str
    finding: str
    """Its name in the handbook."""
    sample: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Series and their values, in promtool's notation, a minute a step."""


def _full(metric: Metric, selector: str = "") -> str:
    return f"{PREFIX}{metric.name}{selector}"


_NOT_CALLERS: Final = _full(names.FAILURES, '{side!="caller"}')
_HIT_BYTES: Final = _full(names.CACHE_BYTES, '{result!="miss"}')
_HITS: Final = _full(names.CACHE, '{result!="miss"}')
_WHO: Final = "{{ $labels.instance }}"
_I: Final = 'instance="s:5001"'
_JOB: Final = 'job="registry-mesh"'


def _of_finding(name: str, held: str, says: str, title: str = "", *, broken: bool = False) -> Alert:
    """`broken`: it is, where the finding is one to be looked at."""
    state = "broken" if name in _BROKEN else "warn"
    selector = f'{{finding="{name}"}}'
    series = _full(names.FINDING, f'{{{_I},finding="{name}",state="{state}"}}')
    title = title or "".join(word.capitalize() for word in name.split("-"))
    return Alert(
        f"RegistryMesh{title}",
        f"{_full(names.FINDING, selector)} > 0",
        held,
        "critical" if state == "broken" or broken else "warning",
        says,
        name,
        {series: "1x90"},
    )


_BROKEN: Final = frozenset(
    {
        "own-link-down",
        "grace-ending",
        "guard-stopped",
        "format-newer",
        "clock-off",
        "offline",
        "parent-denied",
        "tls-untrusted",
        "store-fault",
        "store-full",
        "workers-die",
    }
)

ALERTS: Final = (
    Alert(
        "RegistryMeshDown",
        f"up{{{_JOB}}} == 0",
        "2m",
        "critical",
        f"{_WHO} does not answer for 2 min; its clients ask their next mirror.",
        "node-down",
        sample={f"up{{{_I},{_JOB}}}": "0x90"},
    ),
    Alert(
        "RegistryMeshPullsFail",
        "registry_mesh:failed:ratio_rate5m > 0.01",
        "5m",
        "critical",
        "{{ $value | humanizePercentage }} of what is asked at "
        + _WHO
        + " fails, not by the callers' fault; registry_mesh_failures_total says why.",
        "pulls-fail",
        {
            _full(names.FAILURES, f'{{{_I},side="parent",reason="down"}}'): "0+30x90",
            _full(names.REQUESTS, f'{{{_I},endpoint="blob",method="GET",code="5xx"}}'): "0+300x90",
        },
    ),
    Alert(
        "RegistryMeshHitsSlow",
        f"histogram_quantile(0.99, sum by (instance, le) (rate({_full(names.FIRST_BYTE)}_bucket"
        '{cache="hit"}[5m]))) > 0.1',
        "10m",
        "warning",
        f"What {_WHO} holds takes {{{{ $value | humanizeDuration }}}} to its first byte (p99): its disk or its "
        "processors are too busy.",
        "hits-slow",
        {
            _full(names.FIRST_BYTE, f'_bucket{{{_I},cache="hit",le="0.1"}}'): "0x90",
            _full(names.FIRST_BYTE, f'_bucket{{{_I},cache="hit",le="0.5"}}'): "0+60x90",
            _full(names.FIRST_BYTE, f'_bucket{{{_I},cache="hit",le="+Inf"}}'): "0+60x90",
        },
    ),
    Alert(
        "RegistryMeshNearLimit",
        f"{_full(names.OPEN_FILES)} / {_full(names.OPEN_FILES_LIMIT)} > 0.8 or "
        f"{_full(names.REQUESTS_RUNNING)} / {_full(names.REQUESTS_LIMIT)} > 0.8",
        "5m",
        "warning",
        f"{_WHO} uses {{{{ $value | humanizePercentage }}}} of the requests or files it may have; beyond, clients "
        "get 503.",
        "limits-low",
        {
            _full(names.OPEN_FILES, f"{{{_I}}}"): "900x90",
            _full(names.OPEN_FILES_LIMIT, f"{{{_I}}}"): "1000x90",
        },
    ),
    Alert(
        "RegistryMeshCertificateEnding",
        f"{_full(names.CERTIFICATE_EXPIRY)} - time() < 14 * 86400",
        "0m",
        "warning",
        f"The certificate of {_WHO} ({{{{ $labels.listener }}}}) ends in {{{{ $value | humanizeDuration }}}}.",
        "certificate-ending",
        {_full(names.CERTIFICATE_EXPIRY, f'{{{_I},listener="clients"}}'): "86400x90"},
    ),
    _of_finding(
        "offline", "2m", f"No parent of a registry answers {_WHO}: what is held goes on, all else is refused."
    ),
    _of_finding(
        "own-link-down",
        "2m",
        f"No parent of {_WHO} answers, all at once: its own link, or its names, are down.",
    ),
    _of_finding("clock-off", "5m", f"The clock of {_WHO} is off its parents'."),
    _of_finding("behind", "5m", f"No run of the rules of {_WHO} was complete for long."),
    _of_finding(
        "behind",
        "1h",
        f"No run of the rules of {_WHO} was complete for very long: new images do not reach its jobs.",
        "FarBehind",
        broken=True,
    ),
    _of_finding(
        "grace-ending",
        "0m",
        f"Tags of a registry are answered by {_WHO} for few days more, then digests only.",
    ),
    _of_finding(
        "parent-slow",
        "30m",
        f"{_WHO} has left out a parent for half an hour (slow); others stand in.",
        "ParentOut",
    ),
    _of_finding("loop", "10m", f"A parent of {_WHO} leads back to it: one must not name the other."),
    _of_finding("parent-down", "30m", f"{_WHO} has left out a parent for half an hour; others stand in."),
    _of_finding("parent-denied", "5m", f"A parent of {_WHO} does not take its credentials."),
    _of_finding("tls-untrusted", "5m", f"A parent of {_WHO} shows a certificate that is not trusted."),
    _of_finding("throttled", "10m", f"A registry lets {_WHO} pull nothing for now (429)."),
    _of_finding("parent-lies", "0m", f"A parent sent wrong bytes to {_WHO}; no wrong blob was kept."),
    _of_finding("store-fault", "1m", f"The store of {_WHO} cannot be written to; pulls go on past it."),
    _of_finding(
        "store-full", "10m", f"The store of {_WHO} is full and evicts nothing: pushes will be refused."
    ),
    _of_finding(
        "store-thrash",
        "1h",
        f"Much of what {_WHO} evicts is fetched again: its store is too small or too much is pinned.",
    ),
    _of_finding("format-newer", "0m", f"The store of {_WHO} was written by a newer version: upgrade it."),
    _of_finding("rot", "0m", f"Stored chunks of {_WHO} had rotted; they were fetched anew."),
    _of_finding("scrub-old", "1h", f"What {_WHO} holds was not read again for long."),
    _of_finding("workers-die", "0m", f"Processes of {_WHO} died again and again."),
    _of_finding("webhook-down", "30m", f"A receiver of {_WHO}'s events takes none; they wait."),
    _of_finding(
        "reload-failed", "5m", f"{_WHO} did not take its new configuration; the old one is in force."
    ),
    _of_finding("rules-invalid", "5m", f"{_WHO} cannot use its rule files; the old rules are in force."),
    _of_finding("rule-empty", "1h", f"A rule of {_WHO} selects nothing."),
    _of_finding(
        "guard-stopped", "0m", f"The rules of {_WHO} would delete more than the guard allows; nothing was."
    ),
    _of_finding("replication-behind", "1h", f"{_WHO} does not hold all that its rules want."),
)


def rules(docs: str = DOCS) -> str:
    """A rule file of Prometheus."""
    return "\n".join(_rules(docs)) + "\n"


def _rules(docs: str) -> Iterator[str]:
    yield "# Made from registry_mesh/telemetry/names.py by python -m registry_mesh.telemetry.handbook ."
    yield from ("groups:", "  - name: registry-mesh.records", "    interval: 30s", "    rules:")
    for record, expression in _RECORDS:
        yield from (f"      - record: {record}", f"        expr: {json.dumps(expression)}")
    yield from ("  - name: registry-mesh.alerts", "    rules:")
    for alert in ALERTS:
        yield f"      - alert: {alert.name}"
        yield f"        expr: {json.dumps(alert.expression)}"
        yield f"        for: {alert.held}"
        yield f"        labels: {json.dumps(_labels(alert))}"
        yield f"        annotations: {json.dumps(_annotations(alert, docs))}"


_BY: Final = "sum by (instance, registry)"
_RECORDS: Final = (
    (
        "registry_mesh:hit_bytes:ratio_rate5m",
        f"{_BY} (rate({_HIT_BYTES}[5m])) / {_BY} (rate({_full(names.CACHE_BYTES)}[5m]))",
    ),
    (
        "registry_mesh:hit_requests:ratio_rate5m",
        f"{_BY} (rate({_HITS}[5m])) / {_BY} (rate({_full(names.CACHE)}[5m]))",
    ),
    ("registry_mesh:saved_bytes:rate1h", f"{_BY} (rate({_HIT_BYTES}[1h]))"),
    (
        "registry_mesh:failed:ratio_rate5m",
        f"sum by (instance) (rate({_NOT_CALLERS}[5m])) / sum by (instance) (rate({_full(names.REQUESTS)}[5m]))",
    ),
    (
        "registry_mesh:thrash:ratio_rate1d",
        f"sum by (instance) (rate({_full(names.REFETCHED_BYTES)}[1d])) "
        f"/ sum by (instance) (rate({_full(names.EVICTED_BYTES)}[1d]))",
    ),
)
"""Those of hits are of each registry, and not of the node."""


def _labels(alert: Alert) -> dict[str, str]:
    return {"severity": alert.severity, "finding": alert.finding}


def _annotations(alert: Alert, docs: str) -> dict[str, str]:
    return {"summary": alert.says, "runbook_url": f"{docs.rstrip('/')}/{HANDBOOK}{alert.finding}"}


def tests(docs: str = DOCS) -> str:
    """A file of promtool's: each alert fires on its sample, says its sentence, and none fires on a good day."""
    cases = [_case(alert, docs) for alert in ALERTS]
    good = {
        "interval": "1m",
        "input_series": [
            {"series": f"up{{{_I},{_JOB}}}", "values": "1x90"},
            {
                "series": _full(names.REQUESTS, f'{{{_I},endpoint="blob",method="GET",code="2xx"}}'),
                "values": "0+300x90",
            },
            {
                "series": _full(names.FAILURES, f'{{{_I},side="caller",reason="unknown"}}'),
                "values": "0+60x90",
            },
        ],
        "alert_rule_test": [
            {"eval_time": "80m", "alertname": alert.name, "exp_alerts": []} for alert in ALERTS
        ],
    }
    return json.dumps(
        {"rule_files": ["alerts.yaml"], "evaluation_interval": "1m", "tests": [*cases, good, _recorded()]},
        indent=1,
    )


def _case(alert: Alert, docs: str) -> dict[str, object]:
    labels = {**_labels(alert), "instance": "s:5001", **_sample_labels(alert)}
    said = alert.says.replace(_WHO, "s:5001").replace("{{ $labels.listener }}", "clients")
    said = said.replace("{{ $value | humanizePercentage }}", _PERCENT.get(alert.name, ""))
    said = said.replace("{{ $value | humanizeDuration }}", _DURATION.get(alert.name, ""))
    expected = {"exp_labels": labels, "exp_annotations": {**_annotations(alert, docs), "summary": said}}
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in alert.sample.items()],
        "alert_rule_test": [{"eval_time": "80m", "alertname": alert.name, "exp_alerts": [expected]}],
    }


def _recorded() -> dict[str, object]:
    """Of one registry three of four are hits, of another none."""
    given = {"r.example": {"hit": 3, "miss": 1}, "other": {"miss": 2}}
    series = [
        {
            "series": _full(metric, f'{{{_I},registry="{registry}",kind="blob",result="{result}"}}'),
            "values": f"0+{60 * each * size}x90",
        }
        for metric, size in ((names.CACHE, 1), (names.CACHE_BYTES, 1000))
        for registry, results in given.items()
        for result, each in results.items()
    ]
    expected = {"hit_bytes:ratio_rate5m": 0.75, "hit_requests:ratio_rate5m": 0.75, "saved_bytes:rate1h": 3000}
    return {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": f'registry_mesh:{record}{{registry="r.example"}}',
                "eval_time": "80m",
                "exp_samples": [
                    {"labels": f'registry_mesh:{record}{{{_I},registry="r.example"}}', "value": value}
                ],
            }
            for record, value in expected.items()
        ],
    }


_DURATION: Final = {"RegistryMeshCertificateEnding": "22h 40m 0s", "RegistryMeshHitsSlow": "496ms"}
_PERCENT: Final = {"RegistryMeshPullsFail": "10%", "RegistryMeshNearLimit": "90%"}


def _sample_labels(alert: Alert) -> dict[str, str]:
    """Labels that the series adds to the alert's."""
    if alert.name == "RegistryMeshDown":
        return {"job": "registry-mesh"}
    if alert.name == "RegistryMeshCertificateEnding":
        return {"listener": "clients"}
    if alert.expression.startswith(_full(names.FINDING)):
        return {"state": "broken" if alert.finding in _BROKEN else "warn"}
    return {}
