"""The records of pulls of a node, through the admin listener.

GET /api/1/pulls?since=DAY&registry=&repository=&reference=&who=     who pulled what
GET /api/1/pulls/last                                                the newest day of each manifest
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from registry_mesh.ports.failures import Failure

_PLAIN: Final = {"Cache-Control": "no-store"}
Told = dict[str, Any]  # Any: JSON


class PullsTold(Protocol):
    """What is recorded of pulls. Raises failures."""

    @property
    def keeps(self) -> bool:
        """Whether pulls are recorded."""
        ...

    async def told(self, asked: Mapping[str, str]) -> Told:
        """The records that are asked for, as `pulls`."""
        ...

    async def last(self) -> Told:
        """The newest day of each manifest that was ever pulled, as `last`, and the oldest of all, as `began`."""
        ...


def add_pulls(app: web.Application, pulls: PullsTold) -> None:
    """Serve them."""

    async def find(request: web.Request) -> web.Response:
        if not pulls.keeps:
            return _json({"error": "this node records no pulls: set pulls.file"}, 404)
        try:
            return _json(await pulls.told(request.query))
        except Failure as fault:
            return _json({"error": fault.reason}, 503)

    async def last(_: web.Request) -> web.Response:
        if not pulls.keeps:
            return _json({"error": "this node records no pulls: set pulls.file"}, 404)
        try:
            return _json(await pulls.last())
        except Failure as fault:
            return _json({"error": fault.reason}, 503)

    app.router.add_get("/api/1/pulls", find)
    app.router.add_get("/api/1/pulls/last", last)


def _json(told: Told, status: int = 200) -> web.Response:
    text = json.dumps(told, ensure_ascii=False) + "\n"
    return web.Response(status=status, text=text, content_type="application/json", headers=_PLAIN)
