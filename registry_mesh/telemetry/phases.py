"""A piece of work that is seen to start, and to complete or fail: log lines, and a span where tracing is on."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.traces import TRACE, Trace, Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class Phase:
    """A running phase; what `note` is told stands in the line that ends it."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields  # Any: JSON, or what str() makes of it

    def note(self, **fields: object) -> None:
        """Add a field to the phase's closing line and span."""
        self.fields.update(fields)


@asynccontextmanager
async def phase(name: str, **fields: object) -> AsyncIterator[Phase]:
    """`<name> started`, then `<name> complete` (both debug: what came of it, who asked for it says) or `<name> failed`
    (warning), with seconds."""
    log = logging.getLogger(f"registry_mesh.{name}")
    running = Phase(name, dict(fields))
    log.debug("%s started", name, extra={FIELDS: running.fields})
    begun = time.monotonic()
    with _span(running):
        try:
            yield running
        except BaseException as fault:
            running.note(seconds=round(time.monotonic() - begun, 4), why=f"{type(fault).__name__}: {fault}")
            log.warning("%s failed", name, extra={FIELDS: running.fields})
            raise
    running.note(seconds=round(time.monotonic() - begun, 4))
    log.debug("%s complete", name, extra={FIELDS: running.fields})


def _span(running: Phase) -> AbstractContextManager[None]:
    tracer = Tracing.tracer
    return nullcontext() if tracer is None else _traced(tracer, running)


@contextmanager
def _traced(tracer: Tracer, running: Phase) -> Iterator[None]:
    """Its span; parents that are asked meanwhile are part of it."""
    with tracer.start_as_current_span(running.name, record_exception=False) as span:
        above = TRACE.set(Trace({}, span))
        try:
            yield
        finally:
            TRACE.reset(above)
            for key, value in running.fields.items():
                span.set_attribute(
                    f"registry_mesh.{key}", value if isinstance(value, bool | int | float) else str(value)
                )
