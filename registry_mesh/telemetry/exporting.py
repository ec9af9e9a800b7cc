"""Spans to an OpenTelemetry collector, over HTTP: on where the SDK's own variables say so.

OTEL_EXPORTER_OTLP_ENDPOINT (or its form for traces) turns it on, and so does OTEL_TRACES_EXPORTER; OTEL_SDK_DISABLED
and `none` turn it off. All other OTEL_* variables are read by the SDK. Where it is off, nothing of it is imported.
"""

from __future__ import annotations

import logging
import mmap
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from registry_mesh import __version__
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.traces import Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

log: Final = logging.getLogger(__name__)

LAST: Final = 2.0
"""Seconds in which the last spans are sent when a process ends."""

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Outage:
    """Whether traces are not sent, as was told in the log: once, for all processes that are forked after it is made."""

    def __init__(self) -> None:
        self._told = mmap.mmap(-1, 1)

    def tell(self, why: str) -> None:
        """They are not sent, and it may have been told."""
        if not self._told[0]:
            self._told[0] = 1
            log.warning("traces are not sent; pulls go on", extra={FIELDS: {"why": why[:300]}})

    def over(self) -> None:
        """Some were sent."""
        if self._told[0]:
            self._told[0] = 0
            log.info("traces are sent again")


def export_traces(role: str, name: str, outage: Outage) -> Callable[[], None]:
    """Begin, if asked for, in the process that calls. Returns what sends the last spans and ends it."""
    wanted = _wanted(os.environ)
    if not wanted:
        return lambda: None
    try:
        return _begin(wanted, role, name, outage)
    except Exception as fault:  # whatever a variable of the SDK's leads to: a node serves without traces
        outage.tell(f"{type(fault).__name__}: {fault}")
        return lambda: None


def _wanted(env: Mapping[str, str]) -> Sequence[str]:
    """The exporters that are asked for."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    if env.get("OTEL_TRACES_SAMPLER", "").strip().lower() == "always_off":
        return ()
    named = [each.strip() for each in env.get("OTEL_TRACES_EXPORTER", "").split(",") if each.strip()]
    if not named and any(env.get(each, "").strip() for each in _ENDPOINTS):
        named = ["otlp"]
    return () if "none" in named else tuple(dict.fromkeys(named))


def _begin(wanted: Sequence[str], role: str, name: str, outage: Outage) -> Callable[[], None]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from registry_mesh.telemetry.sampling import sampler
    from registry_mesh.telemetry.sending import Telling, hear

    hear(outage)
    exporters = [_exporter(each, os.environ) for each in wanted]
    provider = TracerProvider(
        sampler=sampler(os.environ), resource=_resource(role, name), shutdown_on_exit=False
    )
    for each in exporters:
        provider.add_span_processor(BatchSpanProcessor(Telling(each, outage)))
    Tracing.tracer = provider.get_tracer("registry_mesh", __version__)

    def end() -> None:
        Tracing.tracer = None
        last = threading.Thread(
            target=provider.shutdown, daemon=True
        )  # a collector that hangs holds nobody up
        last.start()
        last.join(LAST)

    return end


def _exporter(name: str, env: Mapping[str, str]) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER={name}: otlp, console and none are known")
    protocol = next((env[each].strip() for each in _PROTOCOLS if env.get(each, "").strip()), "http/protobuf")
    if protocol != "http/protobuf":
        raise ValueError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: only http/protobuf is spoken, to the collector's HTTP port (4318)"
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _resource(role: str, name: str) -> Resource:
    """What spans say of this node; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES may say it otherwise."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = {
        "service.name": "registry-mesh",
        "service.version": __version__,
        "service.instance.id": name,
        "registry_mesh.role": role,
    }
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})
