"""What has no value has no series."""

from __future__ import annotations

import pytest

from registry_mesh.admin.exposition import TableCollector, exposition
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Layout, Table
from registry_mesh.telemetry.names import PREFIX, Metric

ABSENT = (
    (names.CERTIFICATE_EXPIRY, ("clients",)),
    (names.SCRUBBED_AT, ()),
    (names.REPLICATED_AT, ()),
    (names.GRACE_ENDS, ("r.example",)),
    (names.PARENT_LATENCY, ("other", "p:1")),
    (names.PARENT_RATE, ("other", "p:1")),
    (names.PULLS_LEFT, ("r.example",)),
)


def told(table: Table, metric: Metric) -> list[str]:
    text = exposition(TableCollector(table, {"role": "site"}), "")[0].decode()
    return [line for line in text.splitlines() if line.startswith(PREFIX + metric.name)]


@pytest.mark.parametrize(("metric", "labels"), ABSENT, ids=lambda each: getattr(each, "name", ""))
def test_a_gauge_without_a_value_is_absent(metric: Metric, labels: tuple[str, ...]) -> None:
    table = Table(Layout(values={"parent": ["p:1"], "registry": ["r.example"]}), 2)
    assert told(table, metric) == [], "an alert would take 0 for a moment long past"
    table.row(1).gauge(metric, *labels).set(5 * metric.scale)
    (line,) = told(table, metric)
    assert line.endswith(" 4.0" if metric.absent else " 5.0")


def test_none_left_is_told() -> None:
    table = Table(Layout(values={"registry": ["r.example"]}), 1)
    table.row(0).gauge(names.PULLS_LEFT, "r.example").set(1)
    assert told(table, names.PULLS_LEFT) == [f'{PREFIX}upstream_pulls_left{{registry="r.example"}} 0.0']
    assert told(table, names.STORE_QUOTA) == [f"{PREFIX}store_quota_bytes 0.0"], "no bound is told as 0"
