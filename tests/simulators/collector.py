"""A collector of traces: takes OTLP over HTTP, as OpenTelemetry's own exporter sends it, and keeps the spans."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


@dataclass(frozen=True, slots=True)
class Span:
    """One span. `node`: `service.instance.id` of what sent it."""

    node: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool


@dataclass
class Collector:
    """`status` is what it answers; the spans of what it refuses it forgets."""

    url: str = ""
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    requests: int = 0
    resources: list[dict[str, Any]] = field(default_factory=list)
    raw: bytes = b""
    """All that came, one after another."""

    def take(self, body: bytes) -> None:
        self.raw += body
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = told(each.resource.attributes)
            self.resources.append(resource)
            self.spans += [
                Span(
                    resource["service.instance.id"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    told(span.attributes),
                    span.status.code == 2,
                )
                for scope in each.scope_spans
                for span in scope.spans
            ]

    def of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]


def told(attributes: Any) -> dict[str, Any]:
    def value(given: AnyValue) -> Any:
        return getattr(given, given.WhichOneof("value") or "string_value")

    return {each.key: value(each.value) for each in attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """It listens on loopback until the end."""
    kept = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            kept.requests += 1
            if kept.status == 200:
                kept.take(body)
            self.send_response(kept.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
