"""The shared table: what is counted where, and what all rows come to."""

import gc
import os
import sys

import pytest

from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments, Layout, Table
from registry_mesh.telemetry.names import METRICS, Kind


def test_rows_are_summed_and_never_mixed() -> None:
    table = Table(Layout(), 3)
    for worker in range(3):
        table.row(worker).counter(names.REQUESTS, "other", "blob", "GET", "2xx").add(worker + 1)
    table.row(1).counter(names.REQUESTS, "other", "blob", "GET", "5xx").add()
    assert table.total(names.REQUESTS) == 7
    assert table.total(names.REQUESTS, code="2xx") == 6
    assert table.total(names.REQUESTS, endpoint="manifest") == 0


def test_a_child_process_counts_into_the_same_table_and_its_successor_goes_on() -> None:
    table = Table(Layout(), 2)
    for _ in range(2):
        if (pid := os.fork()) == 0:
            table.row(1).counter(names.SENT_BYTES, "blob").add(1 << 40)
            os._exit(0)
        os.waitpid(pid, 0)
    assert table.total(names.SENT_BYTES, endpoint="blob") == 2 << 40


def test_gauges_that_all_rows_share_are_not_summed() -> None:
    table = Table(Layout(), 2)
    for row in range(2):
        table.row(row).gauge(names.STORE_USED, "whole").set(500)
        table.row(row).gauge(names.REQUESTS_RUNNING).add(3)
    assert table.total(names.STORE_USED) == 500
    assert table.total(names.REQUESTS_RUNNING) == 6


def test_histogram_buckets() -> None:
    table = Table(Layout(), 1)
    histogram = table.row(0).histogram(names.REQUEST_SECONDS, "blob")
    for seconds in (0.0005, 0.001, 0.002, 1000.0):
        histogram.observe(seconds)
    (sample,) = [s for s in table.read() if s.metric is names.REQUEST_SECONDS and s.labels == ("blob",)]
    assert sample.cells[0] == 2
    assert sample.cells[1] == 1
    assert sample.cells[len(names.REQUEST_SECONDS.bounds)] == 1
    assert sample.cells[-1] == pytest.approx(1000.0035 * 10**9)
    assert sample.value == 4


def test_labels_are_closed_sets_of_the_code_or_of_the_configuration() -> None:
    instruments = Instruments.alone()
    with pytest.raises(KeyError):
        instruments.counter(names.REQUESTS, "other", "blob", "BREW", "2xx")
    with pytest.raises(KeyError):
        instruments.counter(names.UPSTREAM_BYTES, "other", "http://p")
    table = Table(Layout(values={"parent": ["http://p"]}), 1)
    table.row(0).counter(names.UPSTREAM_BYTES, "other", "http://p").add(5)
    assert table.total(names.UPSTREAM_BYTES) == 5


def test_names_follow_the_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 15
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert bool(metric.bounds) == (metric.kind is Kind.HISTOGRAM)
        assert not {"digest", "repository", "tag", "client"} & set(metric.labels)


def test_only_parents_of_a_registry_are_told_apart_by_it() -> None:
    values = {"registry": ["r", "s"], "parent": ["p", "q"]}
    table = Table(Layout(values=values, parents={"r": ["p"], "s": ["p", "q"]}), 1)
    pairs = {sample.labels for sample in table.read(names.UPSTREAM_BYTES)}
    assert pairs == {("r", "p"), ("s", "p"), ("s", "q"), ("other", "p"), ("other", "q")}
    assert not table.row(0).has(names.UPSTREAM_BYTES, "r", "q")
    assert {sample.metric for sample in table.read(names.LIES, names.CACHE)} == {names.LIES, names.CACHE}


def test_counters_go_on_over_tables_and_gauges_do_not() -> None:
    old = Table(Layout(values={"parent": ["p", "gone"]}), 2)
    for row in range(2):
        old.row(row).counter(names.REQUESTS, "other", "blob", "GET", "2xx").add(3)
        old.row(row).gauge(names.REQUESTS_RUNNING).add(1)
    old.row(0).counter(names.UPSTREAM_BYTES, "other", "gone").add(7)
    old.row(0).histogram(names.REQUEST_SECONDS, "blob").observe(0.5)
    carried = {("requests_total", ("other", "blob", "GET", "2xx")): (10,)}
    new = Table(Layout(values={"parent": ["p", "q"]}), 1, [old], carried)
    new.row(0).counter(names.REQUESTS, "other", "blob", "GET", "2xx").add(1)
    assert new.total(names.REQUESTS, endpoint="blob") == 17
    assert new.total(names.REQUEST_SECONDS, endpoint="blob") == 1
    assert new.total(names.REQUESTS_RUNNING) == 0
    assert old.counted()["requests_total", ("other", "blob", "GET", "2xx")] == (6,)
    assert old.counted()["upstream_bytes_total", ("other", "gone")] == (7,)
    assert ("requests_running", ()) not in old.counted()


def test_what_is_used_is_what_is_read_without_zeros() -> None:
    old = Table(Layout(values={"registry": ["r"], "parent": ["p", "gone"]}), 2)
    old.row(1).counter(names.UPSTREAM_BYTES, "r", "gone").add(7)
    old.row(1).counter(names.UPSTREAM_BYTES, "r", "p").add(2)
    carried = {("request_seconds", ("blob",)): (0, *[1] * (len(names.REQUEST_SECONDS.bounds) + 1))}
    table = Table(Layout(values={"registry": ["r", "s"], "parent": ["p", "q"]}), 2, [old], carried)
    table.row(0).gauge(names.PARENT_AVAILABLE, "q").set(1)
    table.row(1).counter(names.UPSTREAM_BYTES, "s", "q").add(5)
    used = {(sample.metric.name, sample.labels): sample.value for sample in table.used()}
    assert used == {
        ("upstream_bytes_total", ("r", "p")): 2,
        ("upstream_bytes_total", ("s", "q")): 5,
        ("parent_available", ("q",)): 1,
        ("request_seconds", ("blob",)): len(names.REQUEST_SECONDS.bounds),
    }
    assert list(table.used()) == [sample for sample in table.read() if any(sample.cells)]
    wanted = (names.UPSTREAM_BYTES, names.PARENT_AVAILABLE)
    assert list(table.used(*wanted)) == [sample for sample in table.used() if sample.metric in wanted]


def test_what_is_read_costs_nothing_of_what_is_not() -> None:
    few, many = ({"parent": [f"p{i}" for i in range(count)], "registry": ["r"]} for count in (1, 500))
    assert _calls(Layout(values=few)) == _calls(Layout(values=many)) < 100


def _calls(layout: Layout) -> int:
    """How many functions are called to read a metric without labels."""
    table, calls = Table(layout, 2), 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    gc.disable()  # it calls functions: of hypothesis, and of what other tests have left
    sys.setprofile(count)
    try:
        assert table.total(names.REQUESTS_RUNNING) == 0
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls
