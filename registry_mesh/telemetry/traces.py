"""Requests as parts of traces: taken from `traceparent`, handed on to parents by it (W3C Trace Context).

A request for which a parent is asked is recorded always, one that is answered from what is held now and then: its span
is made when the first parent is asked, or at its end. What works for a request, in tasks of its own too, finds its
trace in the context that it began in. OpenTelemetry is imported only where `Tracing.tracer` is set.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Fields = Mapping[str, str | int | float | bool]

HANDED_ON: Final = ("traceparent", "tracestate")
"""Header fields of a trace."""
CACHE: Final = "registry_mesh.cache"
"""The attribute that says `miss` where parents were asked."""
MOST: Final = 512
"""Requests to parents that are recorded in one trace: a run of the rules may send thousands."""
HITS: Final = 20
"""Answers a second, of one process, that needed no parent and may be recorded."""

_PARENT: Final = re.compile(r"(?!00-0{32}|00-[0-9a-f]{32}-0{16})00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST: Final = 512
"""Characters of `tracestate` that are handed on (W3C Trace Context, 3.3.1.5)."""


class Tracing:
    """Whether spans are made; None: what came is handed on, and no more."""

    tracer: Tracer | None = None


class HitBudget:
    """At most `HITS` a second."""

    def __init__(self) -> None:
        self._until = 0.0
        self._left = 0

    def has(self, now: float) -> bool:
        """Whether one more may be recorded at `now`, in seconds of any clock that goes on."""
        if now >= self._until:
            self._until, self._left = now + 1.0, HITS
        return self._left > 0

    def take(self, now: float) -> bool:
        """The same, and one less is left."""
        if not self.has(now):
            return False
        self._left -= 1
        return True


class Trace:
    """What a request, or a run of the rules, is part of. `given`: the fields it came with, where they are valid."""

    __slots__ = ("_began", "_left", "_span", "given")

    def __init__(self, given: Mapping[str, str], span: Span | None = None) -> None:
        self.given = given
        self._began = time.time_ns()
        self._span = span
        self._left = MOST

    def span(self, tracer: Tracer) -> Span:
        """Its own span, made now if there is none: a parent is asked on its behalf."""
        if self._span is None:
            self._span = self._start(tracer, "pull", "miss")
        return self._span

    def has_room(self) -> bool:
        """Whether one more request to a parent is recorded."""
        self._left -= 1
        return self._left >= 0

    def end(self, name: str, told: Fields, hits: HitBudget, *, miss: bool, failed: bool) -> None:
        """The answer has left, or will not: record it, as `name` and with what is `told`, where it is to be."""
        tracer = Tracing.tracer
        if tracer is None:
            return
        if self._span is None:
            if not miss and not hits.take(time.monotonic()):
                return
            self._span = self._start(tracer, name, "miss" if miss else "hit")
        if self._span.is_recording():
            _close(self._span, name, told, failed)

    def _start(self, tracer: Tracer, name: str, cache: str) -> Span:
        from opentelemetry.trace import SpanKind

        return tracer.start_span(
            name, _remote(self.given), SpanKind.SERVER, {CACHE: cache}, start_time=self._began
        )


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)


def enter(parents: Sequence[str], states: Sequence[str]) -> Trace | None:
    """What the request at hand is part of, from now on in this context. `parents` and `states` are its lines of
    `traceparent` and `tracestate`. None where nothing came and nothing is recorded."""
    given: dict[str, str] = {}
    if len(parents) == 1 and _PARENT.fullmatch(parents[0]):
        given["traceparent"] = parents[0]
        state = ",".join(states)
        if state and len(state) <= _LONGEST and state.isascii() and state.isprintable():
            given["tracestate"] = state
    trace = Trace(given) if given or Tracing.tracer is not None else None
    TRACE.set(trace)
    return trace


class Asking:
    """One request to a parent. `headers`: the fields that hand the trace on."""

    __slots__ = ("_span", "headers")

    def __init__(self, headers: Mapping[str, str], span: Span | None = None) -> None:
        self.headers = headers
        self._span = span

    def answered(self, status: int) -> None:
        """The head of the answer has come."""
        if self._span is not None:
            self._span.set_attribute("http.response.status_code", status)

    def failed(self, fault: BaseException) -> None:
        """It ends by `fault`, of which the kind alone is told: texts of others may hold anything."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", type(fault).__name__)
            if isinstance(fault, Exception):
                self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """Nothing more comes of it."""
        if self._span is not None:
            self._span.end()


@contextmanager
def asking(method: str, path: str, kind: str, parent: str) -> Iterator[Asking]:
    """A request for `path`, without a query, to `parent`, on behalf of what this context belongs to."""
    asked = _asked(method, path, kind, parent)
    try:
        yield asked
    except BaseException as fault:
        asked.failed(fault)
        raise
    finally:
        asked.end()


def _asked(method: str, path: str, kind: str, parent: str) -> Asking:
    path = path.partition("?")[0]
    trace, tracer = TRACE.get(), Tracing.tracer
    if trace is None:
        return Asking({})
    if tracer is None:
        return Asking(trace.given)
    if not trace.has_room():
        return Asking({})
    from opentelemetry.trace import SpanKind, set_span_in_context

    told = {"http.request.method": method, "server.address": parent, "url.path": path}
    above = set_span_in_context(trace.span(tracer))
    span = tracer.start_span(f"ask for {kind}", above, SpanKind.CLIENT, told)
    return Asking(_handed_on(span), span)


def _close(span: Span, name: str, told: Fields, failed: bool) -> None:
    from opentelemetry.trace import StatusCode

    span.update_name(name)
    for key, value in told.items():
        span.set_attribute(key, value)
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end()


def _remote(given: Mapping[str, str]) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(given, Context())


def _handed_on(span: Span) -> dict[str, str]:
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span))
    return carrier
