"""`limits:`, what clients may have of a node: its keys."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from registry_mesh.config.values import Rate, Section, listed

Network = IPv4Network | IPv6Network


def _network(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError("a network is an address, or ADDRESS/BITS" + _whole(value)) from None


def _whole(text: str) -> str:
    """What to write where an address stands before the bits, and not its network's."""
    try:
        return f": write {ip_network(text, strict=False)}"
    except ValueError:
        return ""


class Limits(Section):
    """`limits:`: in each worker; 0: no bound."""

    connections: Annotated[int, Field(ge=0)] = 0
    """Connections of all clients; one more is answered 503 and closed."""
    client_connections: Annotated[int, Field(ge=0)] = 0
    """Connections of one client. A client is an address, of IPv6 a network of 64 bits."""
    client_requests: Annotated[int, Field(ge=0)] = 0
    """Requests a second of one client, on average over five seconds; more are answered 429 (503 at a site) with
    Retry-After."""
    client_bytes: Rate = 0
    """Bytes a second that are sent to one client, on average: it is asked to come again while it is ahead of that by
    more than five seconds."""
    client_unknown: Annotated[int, Field(ge=0)] = 10
    """Questions a second, on average over a minute, that parents are asked in vain for one client: beyond it what
    nothing here knows of waits up to two seconds for its turn, and is refused then, as with `client_requests`. What is
    held, or named by a tag or a manifest that is known here, does not count and does not wait."""
    exempt: Annotated[
        tuple[Annotated[Network, BeforeValidator(_network)], ...],
        BeforeValidator(listed),
        WithJsonSchema({"type": "array", "items": {"type": "string"}, "examples": [["10.0.0.0/8"]]}),
    ] = ()
    """Addresses and networks of clients without a bound: proxies in front, nodes below."""
