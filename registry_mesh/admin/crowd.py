"""The connections of the operator's listener: anybody may open them, and each is a descriptor of the process."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from registry_mesh.listening.parting import Believes, part

PATIENCE: Final = 20.0
"""Seconds until the first head of a connection has to have come. Later ones have the keep-alive time."""
MOST: Final = 256
"""Connections at once: of schedulers, scrapers and persons."""
TOLD: Final = 60.0
"""Seconds until the log says the same again."""

log: Final = logging.getLogger(__name__)


class Crowd:
    """The connections of `server`. Those that say nothing, or never come to an end of it, are closed; so that no more
    than `most` are open, one is dropped for the next: the oldest on which nobody was let in, else the one that was used
    the longest ago. To be closed."""

    def __init__(
        self,
        server: web.Server,
        connect: Callable[[web.Server], web.RequestHandler],
        patience: float = PATIENCE,
        most: int = MOST,
    ) -> None:
        """`connect` makes what answers on one connection."""
        self._server = server
        self._connect = connect
        self._patience = patience
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._since: dict[web.RequestHandler, float] = {}
        self._heard: set[web.RequestHandler] = set()
        self._asking: set[web.RequestHandler] = set()
        self._let_in: dict[web.RequestHandler, float] = {}
        """And when they were last; for ever while they are answered."""
        self._told_at = -math.inf
        self._next = self._loop.call_later(patience / 2, self._look)

    def enter(self) -> web.RequestHandler:
        """What answers on one more connection."""
        open_ = [each for each in self._server.connections if each.transport is not None]
        for _ in range(len(open_) - self._most + 1):
            last = min(
                open_, key=lambda each: self._let_in.get(each, -math.inf)
            )  # the first that came of equals
            open_.remove(last)
            self._drop(last)
        return self._connect(self._server)

    @contextmanager
    def asking(self, request: web.Request) -> Iterator[None]:
        """While a request is answered."""
        self._heard.add(request.protocol)
        self._asking.add(request.protocol)
        try:
            yield
        finally:
            self._asking.discard(request.protocol)
            if request.protocol in self._let_in:
                self._let_in[request.protocol] = self._loop.time()

    def let_in(self, request: web.Request) -> None:
        """Who asks may do so."""
        self._let_in[request.protocol] = math.inf

    def part(self, believes: Believes) -> None:
        """End those whose client is not believed any more."""
        part(self._server.connections, self._asking.__contains__, believes)

    def close(self) -> None:
        """Look no more."""
        self._next.cancel()

    def _drop(self, one: web.RequestHandler) -> None:
        if one.transport is not None:
            one.transport.abort()
        now = self._loop.time()
        if now - self._told_at >= TOLD:
            self._told_at = now
            log.warning(
                "more than %d connections to the operator's listener: the oldest are dropped", self._most
            )

    def _look(self) -> None:
        now, open_ = self._loop.time(), self._server.connections
        self._heard.intersection_update(open_)
        self._let_in = {each: at for each, at in self._let_in.items() if each in set(open_)}
        self._since = {each: self._since.get(each, now) for each in open_ if each not in self._heard}
        for each, since in self._since.items():
            if now - since >= self._patience:
                each.force_close()
        self._next = self._loop.call_later(self._patience / 2, self._look)
