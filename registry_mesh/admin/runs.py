"""Runs of the rules: shown, and asked for by a person or by a registry that tells of a push."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from registry_mesh.ports.failures import Failure

PATH: Final = "/api/1/runs"
_MOST: Final = 64 << 10
"""Bytes of what is told of a push."""
_SIGNATURE: Final = "webhook-signature"
_PATIENCE: Final = 10.0
_SHOWN: Final = 10
_KEPT: Final = 100
"""Runs that are shown where nothing is said, and at most."""


class RunsAsked(Protocol):
    """What is done with it."""

    async def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether somebody sent it who may tell of pushes."""
        ...

    async def ask(self, registry: str, repository: str) -> bool:
        """Run soon what rules take of a repository; False where no rule takes anything of it."""
        ...

    async def ask_all(self) -> None:
        """Run all soon."""
        ...


class RunsTold(Protocol):
    """What is shown of them."""

    async def told(self, limit: int) -> Mapping[str, object]:
        """`under_way`: the run that goes on; `runs`: so many, the last, the newest first. `StoreBroken`."""
        ...


def add_runs_shown(app: web.Application, runs: RunsTold) -> None:
    """Serve what is shown."""

    async def shown(request: web.Request) -> web.Response:
        limit = request.query.get("limit", str(_SHOWN))
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:4]) <= _KEPT:
            return _said(400, error=f"limit: a number from 1 to {_KEPT}")
        try:
            return _said(200, **await runs.told(int(limit)))
        except Failure as failure:
            return _said(503, error=failure.reason)

    app.router.add_get(PATH, shown)


def add_runs(app: web.Application, runs: RunsAsked) -> None:
    """Serve what is asked for."""

    async def asked(request: web.Request) -> web.Response:
        body = await request.read()
        if not body:
            await runs.ask_all()
            return _said(202, asked="all")
        place = _place(body)
        if place is None:
            return _said(400, error='tell of a push: {"data": {"registry": "HOST", "repository": "NAME"}}')
        if await runs.ask(*place):
            return _said(202, asked="/".join(place))
        return _said(202, asked=None, why=f"no rule takes anything of {'/'.join(place)}")

    app.router.add_post(PATH, asked)


async def is_announced(request: web.Request, runs: RunsAsked, patience: float = _PATIENCE) -> bool:
    """Whether a request tells of a push and is signed: it needs no login then. Its body comes within `patience`
    seconds: anybody may have sent it."""
    if request.method != "POST" or request.path != PATH or _SIGNATURE not in request.headers:
        return False
    if request.content_length is None or request.content_length > _MOST:
        return False
    try:
        async with asyncio.timeout(patience):
            body = await request.read()
    except TimeoutError:
        return False
    return await runs.is_signed(request.headers, body)


def _place(body: bytes) -> tuple[str, str] | None:
    """The registry and the repository that an event is about (CloudEvents 1.0, structured mode)."""
    try:
        data: Any = json.loads(body)["data"]
        registry, repository = data["registry"], data["repository"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return (registry, repository) if isinstance(registry, str) and isinstance(repository, str) else None


def _said(status: int, **told: object) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    return web.json_response(told, status=status, headers=headers)
