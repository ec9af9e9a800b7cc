"""What becomes of spans on their way to a collector, told once in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class Outage(Protocol):
    """What is told of it."""

    def tell(self, why: str) -> None:
        """Spans are not sent."""
        ...

    def over(self) -> None:
        """Some were sent."""
        ...


class Telling(SpanExporter):
    """An exporter whose success is told; its failures are told by its own log (`hear`)."""

    def __init__(self, inner: SpanExporter, outage: Outage) -> None:
        self._inner = inner
        self._outage = outage

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter`."""
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._outage.over()
        return result

    def shutdown(self) -> None:
        """See `SpanExporter`."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See `SpanExporter`."""
        return self._inner.force_flush(timeout_millis)


class _Ear(logging.Handler):
    """Hears what the SDK has to say, which would say it again with each batch."""

    def __init__(self, outage: Outage) -> None:
        super().__init__(logging.WARNING)
        self._outage = outage

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, if it is the first of its kind."""
        self._outage.tell(record.getMessage())


def hear(outage: Outage) -> None:
    """From now on the SDK's own log lines are told once, and no longer where other lines go."""
    sdk = logging.getLogger("opentelemetry")
    sdk.handlers[:] = [_Ear(outage)]
    sdk.propagate = False
