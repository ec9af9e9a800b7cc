"""The images of a node: looked at and touched through the admin listener.

    GET  /api/1/images                       what is held, image by image
    POST /api/1/images/evict|pin|refresh|plan  {"images": [NAME, ...], ...}
    POST /api/1/parents/measure              {"parents": [HOST:PORT, ...]}, none for all
    POST /api/1/images/preload               a JSON line now and then, the last one has "done": true

Bodies are application/json, which no page of another site can send unasked; a request that names an Origin is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from aiohttp import web

from registry_mesh.ports.failures import Failure

_PLAIN: Final = {"Cache-Control": "no-store"}

NAMES: Final = web.RequestKey("names", list[str])
"""What an action is about, for the audit log."""

_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "seconds": ((int, float, type(None)), "a number"),
    "off": ((bool, type(None)), "true or false"),
    "dry_run": ((bool, type(None)), "true or false"),
    "platforms": ((list, type(None)), "a list of OS/ARCHITECTURE"),
}
"""What else may be said beside names: of which kind, and how that is put."""

_NAMED: Final = 'name them: {"images": ["REGISTRY/REPOSITORY:TAG"]}'

Asked = Mapping[str, Any]  # Any: JSON
Told = dict[str, Any]  # Any: JSON


class Unheeded(Exception):
    """What is asked cannot be done: why, and what to do instead."""


class Malformed(Unheeded):
    """What is asked is not put as it has to be: 400, where another `Unheeded` is 404."""


class Touched(Protocol):
    """The images of one node. Raises `Unheeded`, and failures."""

    async def held(self) -> Told:
        """Return every image, and what all of them take."""
        ...

    async def evict(self, names: Sequence[str], asked: Asked) -> Told:
        """Forget images; with `dry_run` say what that would free."""
        ...

    async def pin(self, names: Sequence[str], asked: Asked) -> Told:
        """Spare images from eviction, for `seconds` or for good; with `off` no longer."""
        ...

    async def refresh(self, names: Sequence[str], asked: Asked) -> Told:
        """Ask the parents now what tags point at."""
        ...

    def preload(self, names: Sequence[str], asked: Asked) -> AsyncIterator[Told]:
        """Bring images; gives how far that is now and then, the result at last."""
        ...


class Foreseen(Protocol):
    """What a pull would come to at one node. Raises `Unheeded`, and failures."""

    async def measure(self, names: Sequence[str]) -> Told:
        """Fetch some bytes from each parent, or from those named, and say how fast they came."""
        ...

    async def plan(self, names: Sequence[str], asked: Asked) -> Told:
        """Say what a pull would bring, and what of it is here."""
        ...


class Images(Touched, Foreseen, Protocol):
    """All of that."""


def add_images(app: web.Application, images: Images) -> None:
    """Serve them."""

    async def held(_: web.Request) -> web.StreamResponse:
        return await _answered(images.held)

    async def preload(request: web.Request) -> web.StreamResponse:
        return await _streamed(request, images)

    async def measure(request: web.Request) -> web.StreamResponse:
        async def do() -> Told:
            return await images.measure(await _parents(request))

        return await _answered(do)

    app.router.add_get("/api/1/images", held)
    app.router.add_post("/api/1/parents/measure", measure)
    app.router.add_post("/api/1/images/preload", preload)
    for word, act in (
        ("evict", images.evict),
        ("pin", images.pin),
        ("refresh", images.refresh),
        ("plan", images.plan),
    ):
        app.router.add_post(f"/api/1/images/{word}", _acting(act))


def _acting(
    act: Callable[[Sequence[str], Asked], Awaitable[Told]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        async def do() -> Told:
            asked = await _asked(request)
            return await act(asked["images"], asked)

        return await _answered(do)

    return answer


async def _json_of(request: web.Request) -> object:
    if request.content_type != "application/json":
        raise Malformed("send application/json")
    try:
        told: object = await request.json()
    except (ValueError, RecursionError):
        raise Malformed("the body is no JSON") from None
    return told


async def _parents(request: web.Request) -> list[str]:
    """Those that are named; none: all."""
    asked = await _json_of(request)
    names = asked.get("parents", []) if isinstance(asked, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Malformed('name parents as HOST[:PORT]: {"parents": [...]}, or none for all')
    return names


async def _asked(request: web.Request) -> Asked:
    asked = await _json_of(request)
    names = asked.get("images") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not isinstance(names, list) or not names:
        raise Malformed(_NAMED)
    if not all(isinstance(name, str) for name in names):
        raise Malformed(_NAMED)
    for key, (kinds, wanted) in _KINDS.items():
        if not isinstance(asked.get(key), kinds):
            raise Malformed(f"{key} is {wanted}")
    request[NAMES] = names
    found: Asked = asked
    return found


def status_of(unheeded: Unheeded) -> int:
    """Whether it was asked badly, or is not to be had here."""
    return 400 if isinstance(unheeded, Malformed) else 404


async def _answered(act: Callable[[], Awaitable[Told]]) -> web.Response:
    try:
        return _json(await act())
    except Unheeded as unheeded:
        return _json({"error": str(unheeded)}, status_of(unheeded))
    except Failure as fault:
        return _json({"error": fault.reason}, 503)


async def _streamed(request: web.Request, images: Images) -> web.StreamResponse:
    try:
        asked = await _asked(request)
        steps = images.preload(asked["images"], asked)
        first = await anext(steps)
    except Unheeded as unheeded:
        return _json({"error": str(unheeded)}, status_of(unheeded))
    answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", **_PLAIN})
    await answer.prepare(request)
    try:
        await answer.write(_line(first))
        async for step in steps:
            await answer.write(_line(step))
    except (ConnectionError, asyncio.CancelledError):  # the caller has gone: what came is kept
        raise
    finally:
        await steps.aclose()  # type: ignore[attr-defined]  # an async generator
    await answer.write_eof()
    return answer


def _line(told: Told) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


def _json(told: Told, status: int = 200) -> web.Response:
    text = json.dumps(told, indent=2, ensure_ascii=False)
    return web.Response(text=text + "\n", status=status, content_type="application/json", headers=_PLAIN)
