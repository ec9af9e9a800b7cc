"""Bodies on their way to clients, as the node's operator sees them."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest

from registry_mesh.auth.identity import ANONYMOUS_NAME
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.pull_of import is_of_thing, thing_of
from registry_mesh.ports.moving import MovingBody


def longest(exchanges: Iterable[Exchange], now: float, most: int) -> tuple[list[MovingBody], int]:
    """The `most` bodies that have been sent for longest at `now` on the loop's clock, and how many there are. The loop
    stands still meanwhile, so that the rest of a crowd is only counted."""
    sent = [each for each in exchanges if each.sending is not None and is_of_thing(each)]
    shown = nsmallest(most, sent, key=lambda each: each.headed)
    found = (moving(each, now) for each in shown)
    return [body for body in found if body is not None], len(sent)


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
