"""Conditional requests (RFC 9110, section 13)."""

from __future__ import annotations

from registry_mesh.edge.entity_tags import etag, not_modified, precondition_failed
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.faults import PreconditionFailed
from registry_mesh.edge.head import Fields
from registry_mesh.oci.digest import Digest


def require(exchange: Exchange, digest: Digest) -> None:
    """`PreconditionFailed` where If-Match names other things than `digest`, which exists."""
    if precondition_failed(exchange.field("If-Match"), etag(digest)):
        raise PreconditionFailed(etag=etag(digest))


async def answered_by_condition(exchange: Exchange, digest: Digest, fields: Fields) -> bool:
    """Whether If-None-Match was false for `digest`, which exists, and 304 was answered with `fields`;
    `PreconditionFailed` (412) where If-Match was."""
    require(exchange, digest)
    if not not_modified(exchange.field("If-None-Match"), etag(digest)):
        return False
    await exchange.reply(304, fields)
    return True
