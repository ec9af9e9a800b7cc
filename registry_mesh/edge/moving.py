"""A body on its way to a client, as the node's operator sees it."""

from __future__ import annotations

from registry_mesh.auth.identity import ANONYMOUS_NAME
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.pull_of import thing_of
from registry_mesh.ports.moving import MovingBody


def moving(exchange: Exchange, now: float) -> MovingBody | None:
    """What it sends at `now` on the loop's clock; None where it sends nothing of a repository, or not yet."""
    thing = thing_of(exchange)
    if thing is None or exchange.sending is None or exchange.call is None:
        return None
    size, began_at = exchange.sending
    subject = exchange.call.who.subject
    return MovingBody(
        client=exchange.request.remote or "",
        subject=subject if subject != ANONYMOUS_NAME else "",
        place=f"{thing.registry}/{thing.repository}",
        digest=thing.digest,
        size=size,
        sent=min(size, exchange.wire.progress - began_at),
        seconds=round(max(0.0, now - exchange.headed), 3),
        cache=exchange.provenance.result if exchange.provenance is not None else "",
    )
