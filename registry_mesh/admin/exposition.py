"""The shared table in Prometheus' words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, groupby
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from registry_mesh.telemetry.instruments import Sample, Table
from registry_mesh.telemetry.names import (
    CERTIFICATE_EXPIRY,
    FINDING,
    GRACE_ENDS,
    OTHER,
    PARENT_LATENCY,
    PARENT_PRICE,
    PARENT_RATE,
    PARENT_STATE,
    PREFIX,
    REPLICATED_AT,
    SCRUBBED_AT,
    Kind,
)


class TableCollector(Collector):
    """All rows of `table`, read when asked; `info` becomes the labels of `registry_mesh_build_info`."""

    def __init__(self, table: Table, info: Mapping[str, str]) -> None:
        self._table = table
        self._info = dict(info)

    def collect(self) -> Iterator[Metric]:
        """Every metric of the table, summed over the processes."""
        info = GaugeMetricFamily(f"{PREFIX}build_info", "What runs here", labels=list(self._info))
        info.add_metric(list(self._info.values()), 1)
        yield info
        for _, samples in groupby(filter(_used, self._table.read()), lambda sample: sample.metric.name):
            yield _family(list(samples))


def _used(sample: Sample) -> bool:
    """Whether there is anything to tell: of the many series that several labels make those appear that were used, and
    of one label, beside the registry, all: a rise from nothing would not be seen."""
    metric = sample.metric
    if metric.absent:
        return bool(sample.cells[0])
    named = "registry" not in metric.labels or OTHER not in sample.labels
    few = named and len(set(metric.labels) - {"registry"}) < 2 and metric.kind is Kind.COUNTER
    gauge = metric.kind is Kind.GAUGE and metric.name not in _SPARSE
    plain = not metric.labels and metric.name not in _SPARSE
    return few or gauge or plain or bool(sample.value)


_SPARSE: Final = frozenset(
    metric.name
    for metric in (
        FINDING, PARENT_STATE, GRACE_ENDS, CERTIFICATE_EXPIRY, SCRUBBED_AT, REPLICATED_AT, PARENT_LATENCY, PARENT_RATE,
        PARENT_PRICE,
    )
)  # fmt: skip
"""Gauges that are absent where they are 0: that stands for what is not so, has not happened, or is not known. A moment
that never was would be long past."""


def exposition(collector: Collector, accept: str) -> tuple[bytes, str]:
    """The text of all metrics and its content type, in the format that `accept` asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _family(samples: list[Sample]) -> Metric:
    metric = samples[0].metric
    name, labels = PREFIX + metric.name, list(metric.labels)
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, metric.help, labels=labels)
        for sample in samples:
            histogram.add_metric(sample.labels, list(_buckets(sample)), sample.cells[-1] / metric.scale)
        return histogram
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(name, metric.help, labels=labels)
    for sample in samples:
        family.add_metric(sample.labels, sample.value)
    return family


def _buckets(sample: Sample) -> Iterable[tuple[str, float]]:
    bounds = [floatToGoString(bound) for bound in (*sample.metric.bounds, float("inf"))]  # type: ignore[no-untyped-call]  # theirs has none
    return zip(bounds, accumulate(sample.cells[:-1]), strict=True)
