"""The page of the handbook about metrics and alerts, and the files for Prometheus and Grafana.

    python -m registry_mesh.telemetry.handbook .

writes them all below the root of the project; with `--docs URL` alerts lead to the documentation that is served there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from registry_mesh.telemetry.alert_table import ALERTS, WHO
from registry_mesh.telemetry.alert_tests import tests, tests_of_samples, tests_of_weeks
from registry_mesh.telemetry.alerts import rules
from registry_mesh.telemetry.dashboard import dashboard
from registry_mesh.telemetry.names import METRICS, PREFIX

_HEAD: Final = """\
# Monitoring

This page lists the metrics and alerts of a node. It is made from `registry_mesh/telemetry/names.py` by
`python -m registry_mesh.telemetry.handbook .`

`http://ADMIN/metrics` serves the metrics in the format of Prometheus, or OpenMetrics where the scraper asks for it.
Every series sums all processes of the node; a series with several labels appears on its first use. Counters go on
over a reload and begin at 0 when the node restarts; `last_day` in `/status` has the figures of the last 24 hours,
and `/api/1/events` the last thousand refusals, over restarts and without a Prometheus: they are saved every five
seconds (in a bucket every minute) and at the end, so kill -9 loses what came since. [Findings](findings.md) say what a
person should know; most of them have an alert of the same name.

- rules and their tests: [`deploy/prometheus/alerts.yaml`](../deploy/prometheus/alerts.yaml), `alerts_test.yaml`,
  `alerts_samples_test.yaml`, `alerts_week_test.yaml`;
  the annotation `runbook` is a command that says more of the alert, `registry-mesh explain NAME`. Where you serve this
  documentation (`make site`), `python -m registry_mesh.telemetry.handbook DIRECTORY --docs https://docs.example/registry-mesh/`
  adds `runbook_url`, which leads to [findings](findings.md), as the chart's `metrics.rules.docs` does
- dashboard: [`deploy/grafana/registry-mesh.json`](../deploy/grafana/registry-mesh.json)

Bytes saved are those that clients received and that did not cross the WAN: they are `registry_mesh_cache_bytes_total`
with any `result` but `miss`. A miss is a request for which a parent was asked for some of the bytes, and all of its
bytes count as missed. The others cost the link nothing: `hit` was on the server's disk, or the bucket sent it by a
redirect; `stale` is a tag that was answered without its parents; `bucket` came from the site's bucket, `sibling` from
another server of the site, whose own parents may have been asked for it: that is a miss there; `joined` followed a
blob that another request had begun to bring. Where several read different ranges of one blob at once, what is brought
for the later ones counts as joined too, so that a little more seems saved than was. Exact are the bytes that crossed
the WAN, `registry_mesh_upstream_bytes_total`; beside misses it has what was brought ahead: preloads, replication, the
rest of a blob that nobody read to its end. The share of
requests and of bytes that were no misses is recorded as `registry_mesh:hit_requests:ratio_rate5m` and
`registry_mesh:hit_bytes:ratio_rate5m`, and bytes saved as `registry_mesh:saved_bytes:rate1h`, each by registry.
`/status` has them since the start in `cache`, and for each registry in `registries.HOST.cache`. Registries that the
configuration does not name are counted together as `other`.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join((_HEAD, *_metrics(), "", *_alerts())) + "\n"


def _metrics() -> Iterator[str]:
    yield from ("## Metrics", "", "| metric | kind | labels | |", "|---|---|---|---|")
    yield f"| `{PREFIX}build_info` | gauge | `role`, `name`, `version` | What runs here: 1 |"
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{PREFIX}{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |"


def _alerts() -> Iterator[str]:
    yield from ("## Alerts", "", "| alert | severity | after | says |", "|---|---|---|---|")
    for alert in ALERTS:
        says = alert.says.replace(WHO, "N").replace("|", "\\|")
        yield f"| `{alert.name}` | {alert.severity} | {alert.held} | {says} |"


FILES: Final[Mapping[str, Callable[[str], str]]] = {
    "deploy/prometheus/alerts.yaml": rules,
    "deploy/prometheus/alerts_test.yaml": tests,
    "deploy/prometheus/alerts_samples_test.yaml": tests_of_samples,
    "deploy/prometheus/alerts_week_test.yaml": tests_of_weeks,
    "deploy/grafana/registry-mesh.json": lambda docs: dashboard(),
    "docs/monitoring.md": lambda docs: page(),
}
"""What is made, by its path in the project; called with where the documentation is served."""


def publish(root: Path, docs: str = "") -> None:
    """Write all of it below `root`."""
    for name, make in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(docs), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--docs", default="", metavar="URL", help="where the documentation is served")
    asked = parser.parse_args()
    publish(asked.root, asked.docs)
