"""Connections on which no request comes: anybody may open them, and each is a descriptor of the process."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

PATIENCE: Final = 20.0
"""Seconds until the first head of a connection has to have come. Later ones have the keep-alive time."""


class Silent:
    """Closes those of `server` that say nothing, or never come to an end of it. To be closed."""

    def __init__(self, server: web.Server, patience: float = PATIENCE) -> None:
        self._server = server
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._since: dict[web.RequestHandler, float] = {}
        self._heard: set[web.RequestHandler] = set()
        self._next = self._loop.call_later(patience / 2, self._look)

    def heard(self, request: web.Request) -> None:
        """A request has come."""
        self._heard.add(request.protocol)

    def close(self) -> None:
        """Look no more."""
        self._next.cancel()

    def _look(self) -> None:
        now, open_ = self._loop.time(), self._server.connections
        self._heard.intersection_update(open_)
        self._since = {each: self._since.get(each, now) for each in open_ if each not in self._heard}
        for each, since in self._since.items():
            if now - since >= self._patience:
                each.force_close()
        self._next = self._loop.call_later(self._patience / 2, self._look)
