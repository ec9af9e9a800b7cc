"""Traces are on where the SDK's own variables say so, and never a fault of the node's."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from registry_mesh.telemetry.exporting import Outage, export_traces
from registry_mesh.telemetry.phases import phase
from registry_mesh.telemetry.traces import Tracing
from tests.eventually import eventually_here
from tests.simulators.collector import Collector, collector
from tests.simulators.ports import free_port


@contextmanager
def exporting(env: Mapping[str, str], outage: Outage | None = None) -> Iterator[Callable[[], None]]:
    """As a process does whose environment that is; its end is the test's to call, or comes at the end."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update({**clean, **env})
        end = export_traces("site", "s1", outage or Outage())
        try:
            yield end
        finally:
            end()
    finally:
        Tracing.tracer = None
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def kept() -> Iterator[Collector]:
    with collector() as each:
        yield each


async def test_a_phase_becomes_a_span(kept: Collector) -> None:
    with exporting({"OTEL_EXPORTER_OTLP_ENDPOINT": kept.url}):
        async with phase("fill", size=7):
            pass
    assert Tracing.tracer is None
    # The end of a process waits for two seconds, and what it has begun to send may come after that.
    eventually_here(lambda: kept.spans, "the span")
    assert kept.resources[0]["service.name"] == "registry-mesh"
    assert kept.resources[0]["registry_mesh.role"] == "site"
    assert [(span.name, span.attributes["registry_mesh.size"]) for span in kept.spans] == [("fill", 7)]


async def test_the_environment_names_the_service(kept: Collector) -> None:
    told = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=cache,site=geneva"}
    with exporting({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{kept.url}/v1/traces", **told}):
        async with phase("fill"):
            pass
    eventually_here(lambda: kept.spans, "the span")
    assert kept.resources[0]["service.name"] == "cache"
    assert kept.resources[0]["site"] == "geneva"
    told["OTEL_SERVICE_NAME"] = "of-the-grid"
    with exporting({"OTEL_EXPORTER_OTLP_ENDPOINT": kept.url, **told}):
        async with phase("fill"):
            pass
    eventually_here(lambda: len(kept.spans) == 2, "the other span")
    assert kept.resources[-1]["service.name"] == "of-the-grid"


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "alone"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "TRUE"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_SAMPLER": "always_off"},
    ],
    ids=lambda env: " ".join(env) or "nothing",
)
def test_off_where_the_variables_say_so(env: Mapping[str, str]) -> None:
    with exporting(env):
        assert Tracing.tracer is None


@pytest.mark.parametrize("named", ["otlp", "console", " otlp "])
def test_an_exporter_that_is_named_needs_no_endpoint(named: str) -> None:
    with exporting({"OTEL_TRACES_EXPORTER": named}):
        assert Tracing.tracer is not None


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "otlp, console and none are known"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "only http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "max_queue_size"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "sometimes"}, "sometimes"),
    ],
    ids=["exporter", "protocol", "queue", "sampler"],
)
def test_a_variable_that_is_wrong_is_told_once_and_no_fault_of_the_node(
    env: Mapping[str, str], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    outage = Outage()
    with exporting(env, outage), exporting(env, outage):
        pass
    (told,) = [record for record in caplog.records if "not sent" in record.getMessage()]
    assert why in str(told.__dict__), told.__dict__


async def test_a_collector_that_is_away_is_told_once_by_all_processes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    outage = Outage()
    ending = 0.0
    for _ in range(2):
        with exporting(away, outage) as end:
            async with phase("fill"):
                pass
            eventually_here(lambda: "not sent" in caplog.text, "a line")
            began = time.monotonic()
            end()
            ending += time.monotonic() - began
    assert caplog.text.count("traces are not sent") == 1
    assert ending < 20, "the end waits for nobody"
    with collector() as back:
        with exporting({**away, "OTEL_EXPORTER_OTLP_ENDPOINT": back.url}, outage):
            async with phase("fill"):
                pass
        eventually_here(lambda: "traces are sent again" in caplog.text, "the other line")
    assert caplog.text.count("traces are sent again") == 1
