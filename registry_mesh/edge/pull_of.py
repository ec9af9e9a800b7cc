"""What a request that is over has fetched."""

from __future__ import annotations

from typing import Final

from registry_mesh.auth.identity import ANONYMOUS_NAME
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.pulled import Pulled, Thing
from registry_mesh.oci.endpoints import Endpoint

KINDS: Final = {Endpoint.MANIFEST: "manifest", Endpoint.BLOB: "blob"}


def is_of_thing(exchange: Exchange) -> bool:
    """Whether a manifest or blob was asked for."""
    return exchange.call is not None and exchange.call.endpoint in KINDS


def thing_of(exchange: Exchange) -> Thing | None:
    """The manifest or blob that was asked for; None for anything else."""
    call = exchange.call
    if call is None or call.repository is None or (kind := KINDS.get(call.endpoint)) is None:
        return None
    tag = call.reference if exchange.by_tag else ""
    return Thing(
        call.repository.registry, call.repository.name, kind, exchange.resolved or call.reference, tag
    )


def count(exchange: Exchange, pulled: Pulled) -> None:
    """Count an answer that gave something: all of it, a part, or where else it is."""
    if exchange.method != "GET" or exchange.status not in (200, 206, 307):
        return
    thing = thing_of(exchange)
    if thing is not None:
        subject = exchange.call.who.subject if exchange.call is not None else ANONYMOUS_NAME
        who = subject if subject != ANONYMOUS_NAME else exchange.request.remote or ""
        pulled.add(thing, who, 1, exchange.sent + exchange.redirected)
