"""A dashboard for Grafana, made from the names of metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from registry_mesh.telemetry import names
from registry_mesh.telemetry.names import PREFIX, Kind, Metric

_ROWS: Final[Mapping[str, tuple[Metric, ...]]] = {
    "In a sentence": (names.FINDING, names.FAILURES),
    "Served and moved": (names.SENT_BYTES, names.CACHE_BYTES, names.CACHE, names.UPSTREAM_BYTES),
    "Quick": (
        names.FIRST_BYTE, names.REQUEST_SECONDS, names.REQUESTS, names.REQUESTS_RUNNING, names.FILLS,
        names.FILL_READERS,
    ),
    "Parents": (names.PARENT_STATE, names.PARENT_LATENCY, names.PARENT_RATE, names.UPSTREAM_REQUESTS, names.LIES),
    "Store": (
        names.STORE_USED, names.STORE_QUOTA, names.STORE_FREE, names.EVICTED_BYTES, names.REFETCHED_BYTES,
        names.EVICTED_IDLE, names.ROTTEN, names.SCRUBBED_AT,
    ),
    "In step": (names.REPLICATIONS, names.REPLICATED_BYTES, names.REPLICATED_AT, names.RULE_FAULTS),
    "Program": (
        names.CPU_SECONDS, names.RESIDENT, names.OPEN_FILES, names.WORKERS, names.WORKER_RESTARTS, names.RELOAD_OK,
        names.CERTIFICATE_EXPIRY, names.CLOCK_OFFSET,
    ),
}  # fmt: skip


def dashboard() -> str:
    """A dashboard of Grafana: a row a subject, a panel a metric; each panel's description is the metric's."""
    panels: list[dict[str, object]] = []
    for title, metrics in _ROWS.items():
        top = 9 * len(panels)
        panels.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}})
        panels += [_panel(metric, i, top + 1) for i, metric in enumerate(metrics)]
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        {
            "name": "instance", "type": "query", "datasource": {"uid": "${datasource}"}, "multi": True,
            "includeAll": True, "query": f"label_values({PREFIX}build_info, instance)",
        },
    ]  # fmt: skip
    whole = {
        "title": "registry-mesh", "uid": "registry-mesh", "schemaVersion": 39, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "templating": {"list": variables}, "panels": panels,
    }  # fmt: skip
    return json.dumps(whole, indent=1) + "\n"


def _panel(metric: Metric, index: int, top: int) -> dict[str, object]:
    return {
        "type": "timeseries",
        "title": metric.name.removesuffix("_total").replace("_", " "),
        "description": metric.help,
        "datasource": {"uid": "${datasource}"},
        "gridPos": {"x": 8 * (index % 3), "y": top + 8 * (index // 3), "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": _unit(metric)}, "overrides": []},
        "targets": [{"refId": "A", "expr": query(metric), "legendFormat": "__auto"}],
    }


def query(metric: Metric) -> str:
    """What is shown of a metric: rates of counters, the 99th percentile of histograms, gauges as they are."""
    full, chosen = f"{PREFIX}{metric.name}", '{instance=~"$instance"}'
    by = ", ".join(("instance", *metric.labels))
    if metric.kind is Kind.HISTOGRAM:
        return f"histogram_quantile(0.99, sum by ({by}, le) (rate({full}_bucket{chosen}[$__rate_interval])))"
    if metric.kind is Kind.COUNTER:
        return f"sum by ({by}) (rate({full}{chosen}[$__rate_interval]))"
    return f"max by ({by}) ({full}{chosen})"


def _unit(metric: Metric) -> str:
    if metric.name.endswith("timestamp_seconds"):
        return "dateTimeFromNow"
    if "bytes" in metric.name:
        return "Bps" if metric.kind is Kind.COUNTER else "bytes"
    return "s" if "seconds" in metric.name and metric.kind is not Kind.COUNTER else "short"
