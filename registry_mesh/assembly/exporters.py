"""Spans to an OpenTelemetry collector: on where OTEL_EXPORTER_OTLP_ENDPOINT says so, else nothing is even imported."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from typing import Final

from registry_mesh import __version__
from registry_mesh.telemetry.phases import Tracing

log: Final = logging.getLogger(__name__)

_SWITCHES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def export_traces(role: str, name: str) -> Callable[[], None]:
    """Begin, if asked for. Returns what flushes and ends it. All other OTEL_* variables are the SDK's."""
    if (
        not any(os.environ.get(switch) for switch in _SWITCHES)
        or os.environ.get("OTEL_SDK_DISABLED") == "true"
    ):
        return lambda: None
    if importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        log.error('traces are asked for, and cannot be sent: pip install "registry-mesh[otlp]"')
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "registry-mesh"),
            "service.version": __version__,
            "service.instance.id": name,
            "registry_mesh.role": role,
        }
    )
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    Tracing.tracer = provider.get_tracer("registry_mesh", __version__)

    def end() -> None:
        Tracing.tracer = None
        provider.shutdown()

    return end
