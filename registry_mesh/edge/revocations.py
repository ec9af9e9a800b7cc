"""The list of revoked credentials, for the nodes below: GET /v2/_mesh/revoked, a JSON object of times by marks."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from registry_mesh.edge.call import Call
from registry_mesh.edge.entity_tags import not_modified
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.faults import MethodNotAllowed
from registry_mesh.edge.head import Fields

NAME: Final = "revoked"
"""The component after `_mesh/`."""


def telling(told: Callable[[], str]) -> Callable[[Exchange, Call], Awaitable[None]]:
    """The handler. `told`: the list as it is now."""

    async def tell(exchange: Exchange, call: Call) -> None:
        if exchange.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("the list of revoked credentials is read", ["GET", "HEAD"])
        body = told().encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        fields: Fields = [("ETag", tag), ("Cache-Control", "private, no-cache")]
        if not_modified(exchange.field("If-None-Match"), tag):
            await exchange.reply(304, fields)
        else:
            await exchange.reply(200, [*fields, ("Content-Type", "application/json")], body)

    return tell
