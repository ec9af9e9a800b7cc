"""A rule file of Prometheus, made from the table of alerts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from registry_mesh.telemetry import names
from registry_mesh.telemetry.alert_table import ALERTS, Alert, full

HANDBOOK: Final = "docs/findings.html#"
"""The page and the anchors below it that alerts lead to, where the documentation is served."""

_NOT_CALLERS: Final = full(names.FAILURES, '{side!="caller"}')
_HIT_BYTES: Final = full(names.CACHE_BYTES, '{result!="miss"}')
_HITS: Final = full(names.CACHE, '{result!="miss"}')
_BY: Final = "sum by (instance, name, registry)"
_NODE: Final = "sum by (instance, name)"
_RECORDS: Final = (
    (
        "registry_mesh:hit_bytes:ratio_rate5m",
        f"{_BY} (rate({_HIT_BYTES}[5m])) / {_BY} (rate({full(names.CACHE_BYTES)}[5m]))",
    ),
    (
        "registry_mesh:hit_requests:ratio_rate5m",
        f"{_BY} (rate({_HITS}[5m])) / {_BY} (rate({full(names.CACHE)}[5m]))",
    ),
    ("registry_mesh:saved_bytes:rate1h", f"{_BY} (rate({_HIT_BYTES}[1h]))"),
    (
        "registry_mesh:failed:ratio_rate5m",
        f"{_NODE} (rate({_NOT_CALLERS}[5m])) / {_NODE} (rate({full(names.REQUESTS)}[5m]))",
    ),
    (
        "registry_mesh:spent_money:increase1d",
        f"sum by (instance, name, currency) (increase({full(names.UPSTREAM_BYTES)}[1d]) * on (instance, parent) "
        f"group_left (currency) max by (instance, parent, currency) ({full(names.PARENT_PRICE)}))",
    ),
    (
        "registry_mesh:thrash:ratio_rate1d",
        f"{_NODE} (rate({full(names.REFETCHED_BYTES)}[1d])) / {_NODE} (rate({full(names.EVICTED_BYTES)}[1d]))",
    ),
)
"""Those of hits are of each registry, and not of the node."""


GROUPS: Final = ("registry-mesh.records", "registry-mesh.alerts")
"""The groups of the file; the second asks for what the first records."""


def rules(docs: str = "") -> str:
    """The file. `docs`: where the documentation is served; nowhere where empty."""
    return "\n".join(_rules(docs)) + "\n"


def _rules(docs: str) -> Iterator[str]:
    yield "# Made from registry_mesh/telemetry/names.py by python -m registry_mesh.telemetry.handbook ."
    yield from ("groups:", f"  - name: {GROUPS[0]}", "    interval: 30s", "    rules:")
    for record, expression in _RECORDS:
        yield from (f"      - record: {record}", f"        expr: {json.dumps(expression)}")
    yield from (f"  - name: {GROUPS[1]}", "    rules:")
    for alert in ALERTS:
        yield f"      - alert: {alert.name}"
        yield f"        expr: {json.dumps(alert.expression)}"
        yield f"        for: {alert.held}"
        yield f"        labels: {json.dumps(labels(alert))}"
        yield f"        annotations: {json.dumps(said_by(alert, docs))}"


def labels(alert: Alert) -> dict[str, str]:
    """What every firing of it carries."""
    return {"severity": alert.severity, "finding": alert.finding}


def said_by(alert: Alert, docs: str) -> dict[str, str]:
    """What it says, and what says more of it: the program itself, on any machine, and the page."""
    said = {"summary": alert.says, "runbook": f"registry-mesh explain {alert.finding}"}
    return {**said, "runbook_url": f"{docs.rstrip('/')}/{HANDBOOK}{alert.finding}"} if docs else said
