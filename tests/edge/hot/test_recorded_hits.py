"""Hits of recorded traces are answered the slow way, which makes their spans: a few a second, the others as ever."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from registry_mesh.telemetry.sampling import sampler
from registry_mesh.telemetry.traces import HITS, Tracing
from tests.edge.twins import BLOB, Twins, ask

HEAD = (
    "GET {target} HTTP/1.1\r\nHost: x\r\n"
    "traceparent: 00-{number:032x}-{number:016x}-{flag}\r\nRange: bytes=7-9\r\n\r\n"
)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler({}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    Tracing.tracer = provider.get_tracer("test")
    yield exporter
    Tracing.tracer = None


async def test_a_hit_of_a_recorded_trace_has_a_span(twins: Twins, spans: InMemorySpanExporter) -> None:
    await twins.warm()
    spans.clear()
    await ask(twins.fast, HEAD.format(target=BLOB, number=7, flag="01"))
    (span,) = [span for span in spans.get_finished_spans() if span.context.trace_id == 7]
    assert span.parent is not None and span.parent.span_id == 7
    assert span.attributes is not None
    assert span.attributes["registry_mesh.cache"] == "hit"
    assert span.name == "GET blob"


async def test_many_of_them_are_as_fast_as_others(
    twins: Twins, spans: InMemorySpanExporter, answered: list[bool]
) -> None:
    await twins.warm()
    for flag, a_second in (("01", HITS + 1), ("00", 1)):
        spans.clear()
        answered.clear()
        began = time.monotonic()
        for number in range(1, 8 * HITS):
            await ask(twins.fast, HEAD.format(target=BLOB, number=number, flag=flag))
        most = a_second * (2 + int(time.monotonic() - began))
        assert answered.count(False) <= most
        assert len(spans.get_finished_spans()) <= most


async def test_without_a_collector_all_are_fast(twins: Twins, answered: list[bool]) -> None:
    await twins.warm()
    answered.clear()
    for flag in ("01", "00"):
        await ask(twins.fast, HEAD.format(target=BLOB, number=3, flag=flag))
    assert answered == [True, True]
