"""What a span says of a request: nothing of its sender, and no query, which may hold secrets of others."""

from __future__ import annotations

from typing import Final

from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.meters import label_of
from registry_mesh.telemetry.traces import Fields, HitBudget

_UPLOADS: Final = "/blobs/uploads/"


def end(exchange: Exchange, hits: HitBudget) -> None:
    """Record a request that is over, where it is to be; hits share `hits`."""
    if exchange.trace is None:
        return
    provenance = exchange.provenance
    miss = provenance is not None and not provenance.hit
    name = f"{exchange.method} {label_of(exchange.call.endpoint if exchange.call else None)}"
    failed = exchange.status >= 500 or exchange.broken == "source"
    exchange.trace.end(name, told(exchange), hits, miss=miss, failed=failed)


def told(exchange: Exchange) -> Fields:
    """The span's attributes, by OpenTelemetry's names where there are such."""
    call, provenance = exchange.call, exchange.provenance
    fields: dict[str, str | int] = {
        "http.request.method": exchange.method,
        "http.response.status_code": exchange.status,
        "url.path": _path(exchange.request.raw_path),
        "registry_mesh.node": exchange.settings.name,
        "registry_mesh.request_id": exchange.id,
        "registry_mesh.bytes": exchange.sent,
    }
    if call is not None and call.repository is not None:
        fields["registry_mesh.registry"] = call.repository.registry
    if provenance is not None and call is not None and call.role.name != "origin":
        fields["registry_mesh.cache"] = provenance.result
        if provenance.source:
            fields["registry_mesh.source"] = provenance.source
    if exchange.reason or exchange.broken:
        fields["error.type"] = exchange.reason or exchange.broken
    return fields


def _path(raw: str) -> str:
    """Without the query, and without the name of an upload, by which others could go on with it."""
    path = raw.partition("?")[0][:1024]
    before, uploads, _ = path.partition(_UPLOADS)
    return before + uploads
