"""What the edge counts. Instruments are taken once; a request costs a few integer additions."""

from __future__ import annotations

from typing import Final

from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.ports.blobs import Provenance
from registry_mesh.telemetry.instruments import Counter, Histogram, Instruments
from registry_mesh.telemetry.names import (
    CACHE,
    CACHE_BYTES,
    ENDPOINTS,
    FAILURES,
    FIRST_BYTE,
    METHODS,
    OTHER,
    REASONS,
    RECEIVED_BYTES,
    REDIRECTED_BYTES,
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_RUNNING,
    RESULTS,
    SENT_BYTES,
    SIDES,
)

_ANY: Final = (SIDES[0], REASONS[0])

_LABELS: Final = {
    Endpoint.BASE: "base",
    Endpoint.CATALOG: "catalog",
    Endpoint.EXTENSION: "extension",
    Endpoint.CHUNK_MAP: "extension",
    Endpoint.BLOB: "blob",
    Endpoint.UPLOADS: "upload",
    Endpoint.UPLOAD: "upload",
    Endpoint.MANIFEST: "manifest",
    Endpoint.TAGS: "tags",
    Endpoint.REFERRERS: "referrers",
}


def label_of(endpoint: Endpoint | None) -> str:
    """What an end point is called in figures and spans; one of `ENDPOINTS`."""
    return _LABELS[endpoint] if endpoint is not None else "other"


class Meters:
    """Of one listener."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self.running = instruments.gauge(REQUESTS_RUNNING)
        self._requests: dict[tuple[str, str, str, str], Counter] = {}
        self.seconds: dict[str, Histogram] = {
            endpoint: instruments.histogram(REQUEST_SECONDS, endpoint) for endpoint in ENDPOINTS
        }
        self.sent = {endpoint: instruments.counter(SENT_BYTES, endpoint) for endpoint in ENDPOINTS}
        self.redirected = instruments.counter(REDIRECTED_BYTES)
        self.received = {endpoint: instruments.counter(RECEIVED_BYTES, endpoint) for endpoint in ENDPOINTS}
        self.first_byte = {result: instruments.histogram(FIRST_BYTE, result) for result in RESULTS}
        self._cache: dict[tuple[str, str, str], tuple[Counter, Counter]] = {}

    def _named(self, registry: str) -> str:
        """The registry as a label has it."""
        return registry if self._instruments.has(FAILURES, registry, *_ANY) else OTHER

    def _asked(self, registry: str, endpoint: str, method: str, code: str) -> Counter:
        key = (registry, endpoint, method, code)
        if key not in self._requests:
            self._requests[key] = self._instruments.counter(
                REQUESTS, self._named(registry), endpoint, method, code
            )
        return self._requests[key]

    def _cache_of(self, registry: str, kind: str, result: str) -> tuple[Counter, Counter]:
        """Answers and their bytes; they have a series from now on."""
        key = (registry, kind, result)
        if key not in self._cache:
            named = self._named(registry)
            self._cache[key] = (
                self._instruments.counter(CACHE, named, kind, result),
                self._instruments.counter(CACHE_BYTES, named, kind, result),
            )
        return self._cache[key]

    def answered(
        self,
        endpoint: Endpoint | None,
        method: str,
        status: int,
        sent: int,
        received: int,
        seconds: float,
        registry: str = "",
    ) -> None:
        """`registry`: empty where none was asked. `status` 0: the client left before an answer began; counted with its
        connection, not here."""
        label = label_of(endpoint)
        if status:
            known = method if method in METHODS else "other"
            self._asked(registry, label, known, f"{status // 100}xx").add()
        self.seconds[label].observe(seconds)
        self.sent[label].add(sent)
        self.received[label].add(received)

    def failed(self, side: str, reason: str, registry: str = "") -> None:
        """A request that was not answered as asked; one of `SIDES` and of `REASONS`."""
        self._instruments.counter(FAILURES, self._named(registry), side, reason).add()

    def hit(
        self,
        registry: str,
        endpoint: str,
        method: str,
        kind: str,
        answers: int,
        sent: int,
        seconds: float,
        code: str = "2xx",
    ) -> None:
        """Answers of the class `code` from what is held, `sent` bytes together, each of which took `seconds`.
        `endpoint` is one of `ENDPOINTS`, `kind` one of `CACHED`."""
        self._asked(registry, endpoint, method, code).add(answers)
        self.seconds[endpoint].observe(seconds, answers)
        self.sent[endpoint].add(sent)
        counter, size = self._cache_of(registry, kind, "hit")
        counter.add(answers)
        size.add(sent)
        self.first_byte["hit"].observe(0.0, answers)

    def cached(
        self, registry: str, kind: str, provenance: Provenance, sent: int = 0, first: float = 0.0
    ) -> None:
        """An answer of a cache of which `sent` bytes of a body left, the first after `first` seconds; `kind` is one of
        `CACHED`."""
        result = provenance.result
        counter, size = self._cache_of(registry, kind, result)
        counter.add()
        size.add(sent)
        self.first_byte[result].observe(first)
