import io
import json
import logging
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from registry_mesh.telemetry.logs import log_to
from registry_mesh.telemetry.phases import phase
from registry_mesh.telemetry.traces import Tracing


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = log_to(stream, "debug", role="site", node="s1")
    yield stream
    logging.getLogger().removeHandler(handler)


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_started_and_complete(lines: io.StringIO) -> None:
    begun = time.monotonic()
    async with phase("fill", digest="sha256:x") as running:
        running.note(bytes=7)
        inner = time.monotonic()
        while time.monotonic() < inner + 0.02:
            pass
    outer = time.monotonic() - begun
    started, complete = read(lines)
    assert started["event"] == "fill started"
    assert complete["event"] == "fill complete"
    assert (complete["digest"], complete["bytes"], complete["node"]) == ("sha256:x", 7, "s1")
    assert 0.0199 <= float(str(complete["seconds"])) <= outer + 0.0001, "rounded to a tenth of a millisecond"


async def test_failed_says_why_and_goes_on_raising(lines: io.StringIO) -> None:
    with pytest.raises(ValueError, match="bad"):
        async with phase("fill"):
            raise ValueError("bad\nline")
    failed = read(lines)[-1]
    assert (failed["event"], failed["level"], failed["why"]) == (
        "fill failed",
        "warning",
        "ValueError: bad\nline",
    )


@pytest.fixture
def tracing() -> Iterator[InMemorySpanExporter]:
    """What is exported; `Tracing.tracer` is the test's to set."""
    yield InMemorySpanExporter()
    Tracing.tracer = None


async def test_spans_only_where_tracing_is_on(tracing: InMemorySpanExporter) -> None:
    exporter = tracing
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with phase("fill"):
        pass
    assert exporter.get_finished_spans() == ()
    Tracing.tracer = provider.get_tracer("test")
    async with phase("serve"):
        async with phase("fill", size=3):
            pass
    inner, outer = exporter.get_finished_spans()
    assert (inner.name, outer.name) == ("fill", "serve")
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert inner.attributes is not None
    assert inner.attributes["registry_mesh.size"] == 3
