"""What the edge counts. Instruments are taken once; a request costs a few integer additions."""

from __future__ import annotations

from typing import Final

from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.ports.blobs import Provenance
from registry_mesh.telemetry.instruments import Counter, Histogram, Instruments
from registry_mesh.telemetry.names import (
    CACHE,
    CACHE_BYTES,
    CODES,
    ENDPOINTS,
    FAILURES,
    FIRST_BYTE,
    METHODS,
    OTHER,
    RECEIVED_BYTES,
    REDIRECTED_BYTES,
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_RUNNING,
    RESULTS,
    SENT_BYTES,
)

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
        self.requests: dict[tuple[str, str, str], Counter] = {
            (endpoint, method, code): instruments.counter(REQUESTS, endpoint, method, code)
            for endpoint in ENDPOINTS
            for method in METHODS
            for code in CODES
        }
        self.seconds: dict[str, Histogram] = {
            endpoint: instruments.histogram(REQUEST_SECONDS, endpoint) for endpoint in ENDPOINTS
        }
        self.sent = {endpoint: instruments.counter(SENT_BYTES, endpoint) for endpoint in ENDPOINTS}
        self.redirected = instruments.counter(REDIRECTED_BYTES)
        self.received = {endpoint: instruments.counter(RECEIVED_BYTES, endpoint) for endpoint in ENDPOINTS}
        self.first_byte = {result: instruments.histogram(FIRST_BYTE, result) for result in RESULTS}
        self._cache: dict[tuple[str, str, str], tuple[Counter, Counter]] = {}

    def _cache_of(self, registry: str, kind: str, result: str) -> tuple[Counter, Counter]:
        """Answers and their bytes; they have a series from now on."""
        key = (registry, kind, result)
        if key not in self._cache:
            named = registry if self._instruments.has(CACHE, *key) else OTHER
            self._cache[key] = (
                self._instruments.counter(CACHE, named, kind, result),
                self._instruments.counter(CACHE_BYTES, named, kind, result),
            )
        return self._cache[key]

    def answered(
        self, endpoint: Endpoint | None, method: str, status: int, sent: int, received: int, seconds: float
    ) -> None:
        """`status` 0: the client left before an answer began; counted with its connection, not here."""
        label = label_of(endpoint)
        if status:
            known = method if method in METHODS else "other"
            self.requests[label, known, f"{status // 100}xx"].add()
        self.seconds[label].observe(seconds)
        self.sent[label].add(sent)
        self.received[label].add(received)

    def failed(self, side: str, reason: str) -> None:
        """A request that was not answered as asked; one of `SIDES` and of `REASONS`."""
        self._instruments.counter(FAILURES, side, reason).add()

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
        self.requests[endpoint, method, code].add(answers)
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
        result = "stale" if provenance.stale else "hit" if provenance.hit else "miss"
        counter, size = self._cache_of(registry, kind, result)
        counter.add()
        size.add(sent)
        self.first_byte[result].observe(first)
