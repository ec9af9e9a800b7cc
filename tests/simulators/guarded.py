"""A registry that wants a login, and its token service, on one real socket: as the world's registries do it."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from registry_mesh.oci.digest import Digest

DATA = b"of all things" * 1000
DIGEST = Digest.of(DATA)
USUAL = 'Bearer realm="{realm}",service="s",scope="{scope}"'


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass
class Asked:
    """One question to the token service."""

    method: str
    scopes: list[str]
    service: str
    authorization: str
    form: dict[str, str]


@dataclass
class GuardedRegistry:
    """Serves `DATA` as the blob `DIGEST` of any repository, to who shows a token of its service, or a password."""

    url: str = ""
    realm: str = ""
    challenges: list[str] = field(default_factory=lambda: [USUAL])
    """Lines of WWW-Authenticate, with {realm} and {scope}."""
    base: list[str] = field(default_factory=list)
    """The same at /v2/."""
    scope: str | None = None
    """The scope that a token must have; None: the usual one of the repository."""
    users: dict[str, str] = field(default_factory=lambda: {"u": "p"})
    moved: list[str] = field(default_factory=list)
    """Where the service sends those who ask it, one after the other."""
    moved_by: int = 301
    identity_tokens: set[str] = field(default_factory=set)
    leads_to: str = ""
    """Where it sends those who ask for content, whoever they are."""
    anonymous: bool = False
    """The service gives a token to who has no login."""
    methods: tuple[str, ...] = ("GET", "POST")
    forbidden: set[str] = field(default_factory=set)
    """Repositories that nobody may read."""
    refusal: int = 401
    """What the registry answers to who shows nothing that is good."""
    no_method: int = 405
    refuses_login: int = 401
    document: Callable[[str], dict[str, object]] = lambda token: {"token": token, "expires_in": 300}
    trouble: list[web.Response] = field(default_factory=list)
    """What the service answers instead, one after the other."""
    asked: list[Asked] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Authorization of each request for content."""
    visits: int = 0
    """Requests for /v2/."""
    good: dict[str, str] = field(default_factory=dict)
    """Scopes, joined, by token."""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def revoke(self) -> None:
        self.good.clear()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return await self._token(request)
        if request.path == "/v2/":
            self.visits += 1
            return self._challenged(web.Response(status=401 if self.base else 200), self.base, "")
        shown = request.headers.get("Authorization", "")
        self.requests.append((request.method, request.path, shown))
        if self.leads_to:
            return web.Response(status=307, headers={"Location": self.leads_to + request.path})
        repository = request.path.removeprefix("/v2/").partition("/blobs/")[0]
        scope = self.scope or f"repository:{repository}:pull"
        if repository not in self.forbidden and self._lets(shown, scope):
            return web.Response(body=DATA)
        return self._challenged(web.Response(status=self.refusal), self.challenges, scope)

    def _challenged(self, answer: web.Response, lines: list[str], scope: str) -> web.Response:
        for line in lines:
            answer.headers.add("WWW-Authenticate", line.format(realm=self.realm, scope=scope))
        return answer

    def _lets(self, shown: str, scope: str) -> bool:
        if shown.startswith("Bearer "):
            return scope in self.good.get(shown.removeprefix("Bearer "), "").split()
        return any("Basic" in line for line in self.challenges + self.base) and self._user(shown)

    def _user(self, shown: str) -> bool:
        return any(shown == basic(*user) for user in self.users.items())

    async def _token(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        query, shown = request.query, request.headers.get("Authorization", "")
        scopes = form["scope"].split() if "scope" in form else query.getall("scope", [])
        service = form.get("service", query.get("service", ""))
        self.asked.append(Asked(request.method, scopes, service, shown, form))
        if self.moved:
            return web.Response(
                status=self.moved_by, headers={"Location": self.moved.pop(0) + f"?{request.query_string}"}
            )
        if self.trouble:
            return self.trouble.pop(0)
        if request.method not in self.methods:
            return web.Response(status=self.no_method)
        if not self._knows(shown, form):
            return web.Response(status=self.refuses_login)
        token = f"t{next(self._numbers)}"
        self.good[token] = " ".join(scopes)
        return web.json_response(self.document(token))

    def _knows(self, shown: str, form: dict[str, str]) -> bool:
        if form.get("grant_type") == "refresh_token":
            return form["refresh_token"] in self.identity_tokens
        if form.get("grant_type") == "password":
            return self.users.get(form["username"]) == form["password"]
        return self._user(shown) or (self.anonymous and not shown)


@asynccontextmanager
async def guarded_registry() -> AsyncIterator[GuardedRegistry]:
    registry = GuardedRegistry()
    runner = web.ServerRunner(web.Server(registry.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    registry.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    registry.realm = f"{registry.url}/token"
    try:
        yield registry
    finally:
        await runner.cleanup()
