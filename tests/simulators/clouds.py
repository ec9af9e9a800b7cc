"""The registries of the world as they are pushed to: Amazon's, Google's, Harbor and Quay, each over a real registry.

Each is an `Ill` of a gateway before Debian's docker-registry; what it does differently is what its users report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from aiohttp import web
from yarl import URL

from tests.simulators.cloud import Cloud
from tests.simulators.gateway import Pass
from tests.simulators.guarded import basic

_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<tag>[A-Za-z0-9_][\w.-]*)")


def refusal(status: int, code: str, message: str, **headers: str) -> web.Response:
    """As the specification spells it."""
    text = json.dumps({"errors": [{"code": code, "message": message}]})
    return web.Response(status=status, text=text, headers=headers, content_type="application/json")


@dataclass
class Amazon:
    """A password of twelve hours, refused with 403 when it is over. Repositories are made beforehand.

    Nothing is mounted. A chunk is answered by 201, whose Range stays what it was after the first; only the last may be
    small.
    """

    cloud: Cloud
    made: tuple[str, ...] = ("a", "b")
    password: str = "one"
    over: set[str] = field(default_factory=set)
    """Passwords whose time is over."""
    least: int = 0
    """Bytes of a chunk that is not the last."""
    immutable: bool = False
    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    """By upload: the end of its first chunk, and the bytes of its last one."""

    async def __call__(self, request: web.Request, body: bytes, ask: Pass) -> web.Response:
        shown = request.headers.get("Authorization", "")
        if any(shown == basic("AWS", each) for each in self.over):
            return refusal(
                403, "DENIED", "Your authorization token has expired. Reauthenticate and try again."
            )
        if shown != basic("AWS", self.password):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="cloud"'})
        if request.path != "/v2/" and not any(f"/{each}/" in request.path for each in self.made):
            name = request.path.removeprefix("/v2/").partition("/blobs/")[0].partition("/manifests/")[0]
            message = f"The repository with name '{name}' does not exist in the registry with id '1'"
            return refusal(404, "NAME_UNKNOWN", message)
        if "mount" in request.query:
            return await _begun(self.cloud, request)
        return await (
            self._chunk(request, body, ask) if request.method == "PATCH" else self._other(request, ask)
        )

    async def _chunk(self, request: web.Request, body: bytes, ask: Pass) -> web.Response:
        upload = request.path
        if self.last.get(upload, self.least) < self.least:
            return refusal(416, "BLOB_UPLOAD_INVALID", "Layer part is too small")
        answer = await ask()
        if answer.status == 202:
            self.last[upload] = len(body)
            stop = self.first.setdefault(upload, len(body) - 1)
            answer.headers["Range"] = f"0-{stop}"
            answer.set_status(201)
        return answer

    async def _other(self, request: web.Request, ask: Pass) -> web.Response:
        tag = _MANIFEST.fullmatch(request.path)
        if self.immutable and request.method == "PUT" and tag is not None:
            name = tag["name"].removeprefix(f"{self.cloud.folder}/")
            if await self.cloud.digest(name, tag["tag"]) is not None:
                message = f"The image tag '{tag['tag']}' already exists and cannot be overwritten"
                return refusal(400, "TAG_INVALID", message)
        answer = await ask()
        if request.method == "GET" and request.path in self.first:
            answer.headers["Range"] = f"0-{self.first[request.path]}"
        return answer


@dataclass
class Google:
    """Nobody is answered without a token, at `/v2/` neither. Uploads go on at another path, which is named with its
    server. A chunk is refused: a blob comes in one request."""

    cloud: Cloud
    status: int = 400
    """What a chunk is answered."""
    uses: int = 1_000
    """Requests for which a token is good. Whoever was refused one is answered by any that came after it: others, which
    ask at the same time, may have used that up before, and a real one is good for a while."""
    ended: bool = False
    """Who has a token is given no other."""
    paths: dict[str, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    """By token."""
    _numbers: count[int] = field(default_factory=count)
    _refused: set[tuple[str, str, str]] = field(default_factory=set)
    """Method, path and the token."""

    async def __call__(self, request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if request.path == "/v2/token":
            return self._token()
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self._is_good(shown, request):
            self._refused.add((request.method, request.path_qs, shown))
            realm = f"http://{request.host}/v2/token"
            scope = "repository:x:push,pull"
            challenge = f'Bearer realm="{realm}",service="cloud",scope="{scope}"'
            return refusal(401, "UNAUTHORIZED", "authentication failed", **{"WWW-Authenticate": challenge})
        self.left[shown] -= 1
        if request.method == "PATCH":
            return refusal(self.status, "UNSUPPORTED", "chunked uploads are not supported")
        if request.path in self.paths:
            return await self._finished(request, body)
        answer = await ask()
        if request.method == "POST" and answer.status == 202:
            path = f"/artifacts-uploads/namespaces/p/repositories/r/uploads/{next(self._numbers)}"
            self.paths[path] = answer.headers["Location"]
            answer.headers["Location"] = f"http://{request.host}{path}"
        return answer

    def _is_good(self, shown: str, request: web.Request) -> bool:
        asked = request.method, request.path_qs
        before = any(each[:2] == asked and each[2] not in ("", shown) for each in self._refused)
        return self.left.get(shown, 0) > 0 or (shown in self.left and before)

    def _token(self) -> web.Response:
        if self.ended:
            return refusal(401, "UNAUTHORIZED", "account disabled")
        token = f"t{next(self._numbers)}"
        self.left[token] = self.uses
        return web.json_response({"token": token, "expires_in": 300})

    async def _finished(self, request: web.Request, body: bytes) -> web.Response:
        url = URL(self.paths[request.path]).update_query(request.query)
        there = URL(self.cloud.there).join(url.relative() if url.is_absolute() else url)
        async with self.cloud.client.request(request.method, there, data=body) as answer:
            return web.Response(status=answer.status, body=await answer.read())


@dataclass
class Harbor:
    """A project is made beforehand, repositories make themselves. A robot may read its own project alone, so that a
    mount from another is refused; a quota is full when the manifest comes; a tag may never move."""

    cloud: Cloud
    full: bool = False
    immutable: bool = False
    reads: str = ""
    """The only repository that may be mounted from; empty: any."""
    project: bool = True

    async def __call__(self, request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if not self.project and "/a/" in request.path:
            return refusal(404, "NOT_FOUND", "project t not found")
        if self.reads and request.query.get("from", self.reads) != self.reads:
            return refusal(401, "UNAUTHORIZED", "unauthorized to access repository")
        tag = _MANIFEST.fullmatch(request.path)
        if request.method == "PUT" and tag is not None and "/a/" in request.path:
            if self.full:
                return refusal(
                    403, "DENIED", "adding 1 MiB of storage resource will exceed the configured upper limit"
                )
            name = tag["name"].removeprefix(f"{self.cloud.folder}/")
            if self.immutable and await self.cloud.digest(name, tag["tag"]) is not None:
                return refusal(412, "PRECONDITION", "Failed to process request due to immutable tag")
        return await ask()


@dataclass
class Quay:
    """Organisations are made beforehand; who asks for another is not let in. It lets go of those who ask too much."""

    cloud: Cloud
    organisation: bool = True
    busy: int = 0
    """Requests that are told to come later."""

    async def __call__(self, request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if not self.organisation and "/a/" in request.path:
            return refusal(401, "UNAUTHORIZED", "access to the requested resource is not authorized")
        if self.busy and request.method != "GET":
            self.busy -= 1
            return web.Response(status=429, headers={"Retry-After": "0"})
        return await ask()


def limited(most: int) -> Callable[[web.Request, bytes, Pass], Awaitable[web.Response]]:
    """A proxy that takes no body of more than `most` bytes."""

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if len(body) > most:
            return web.Response(
                status=413,
                text="<html><h1>413 Request Entity Too Large</h1></html>",
                content_type="text/html",
            )
        return await ask()

    return ill


async def _begun(cloud: Cloud, request: web.Request) -> web.Response:
    """An upload that mounts nothing."""
    headers = {"Host": request.host}
    async with cloud.client.post(cloud.there + request.path, headers=headers) as answer:
        return web.Response(status=answer.status, headers={"Location": answer.headers["Location"]})
