"""A client's share of what parents are asked for in vain, as its bounds say."""

from __future__ import annotations

import asyncio
from typing import Final

from registry_mesh.edge.client_limits import ClientLimits
from registry_mesh.edge.faults import TooFast

PATIENCE: Final = 2.0
"""Seconds that a question waits for its turn. A client that would have to wait longer is refused."""


class ClientShare:
    """Implements `ports.share.Share` for one request. `below`: it comes from a node below, which has bounds for its own
    clients, and takes a refusal for a parent that fails: it waits, and is not refused."""

    def __init__(self, limits: ClientLimits, client: str, below: bool, patience: float = PATIENCE) -> None:
        self._limits = limits
        self._client = client
        self._below = below
        self._patience = patience

    async def demand(self) -> None:
        """See `Share.demand`."""
        wait = self._limits.wait_for_unknown(self._client, asyncio.get_running_loop().time())
        if wait > self._patience and not self._below:
            raise TooFast("this client asks for too much that nobody has", wait)
        if wait:
            await asyncio.sleep(min(wait, self._patience))

    def spend(self) -> None:
        """See `Share.spend`."""
        self._limits.asked_in_vain(self._client, asyncio.get_running_loop().time())
