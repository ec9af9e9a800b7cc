"""The questions to a token service (distribution's token and OAuth 2.0 specifications)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from registry_mesh.auth.hosts import same_place
from registry_mesh.ports.failures import LoginRefused, SourceDenied, SourceThrottled, SourceUnavailable
from registry_mesh.upstream.codings import decoded
from registry_mesh.upstream.health.causes import cause
from registry_mesh.upstream.health.retry_after import http_date, retry_after
from registry_mesh.upstream.login.credentials import Credentials
from registry_mesh.upstream.login.token_answer import AnswerInvalid, TokenAnswer, parse_answer
from registry_mesh.upstream.redirects import REDIRECTS, redirected
from registry_mesh.upstream.way import Client, url_of

ANSWER_LIMIT: Final = 1 << 20
"""Bytes of an answer."""
TIMEOUT: Final = 10.0
"""Seconds for an answer."""
CLIENT_ID: Final = "registry-mesh"

_TAKES_NO_GET: Final = frozenset({400, 401, 404, 405})
"""What services that take POST alone say to a GET with a password."""
_TAKES_NO_POST: Final = frozenset({400, 401, 404, 405})


_MOVED_AS_IT_IS: Final = frozenset({307, 308})
_MOVED: Final = _MOVED_AS_IT_IS | {301, 302, 303}


@dataclass(frozen=True, slots=True)
class Demand:
    """What a challenge asks a token for."""

    realm: str
    service: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class TokenService:
    """Asks for tokens on behalf of one parent: by GET, or by POST where that is what the service takes."""

    def __init__(
        self,
        session: Client,
        parent: str,
        connect: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`parent`: its name in failures. `connect`: seconds for a connection. `clock`: Unix seconds."""
        self._session = session
        self._parent = parent
        self._connect = connect
        self._clock = clock
        self._posted: set[str] = set()
        self._following: dict[str, str] = {}
        self._throttled: dict[str, float] = {}

    async def token(self, demand: Demand, login: Credentials | None) -> TokenAnswer:
        """Return a token for the demand; without a `login` an anonymous one.

        `SourceThrottled` and `SourceUnavailable` are the service's trouble, `LoginRefused` is a login that it does not
        take, `SourceDenied` is what this login may not.
        """
        self._wait_out(demand.realm)
        answer = await self._asked(demand, login)
        if answer.status // 100 != 2:
            raise self._failure(answer, demand, login)
        now = http_date(answer.headers.get("Date", "")) or self._clock()
        try:
            found = parse_answer(answer.body, now)
        except AnswerInvalid as fault:
            raise SourceUnavailable(
                f"the answer of the token service {_host(demand)} {fault}", source=self._parent
            ) from None
        if found.identity_token and login is not None and login.identity_token:
            self._following = {login.identity_token: found.identity_token}
        return found

    def _wait_out(self, realm: str) -> None:
        """Ask nothing while the service wants to be left alone."""
        left = self._throttled.get(realm, 0.0) - self._clock()
        if left > 0:
            raise SourceThrottled(
                f"the token service {urlsplit(realm).netloc} asked for patience (429)",
                source=self._parent,
                retry_after=left,
            )
        self._throttled.pop(realm, None)

    async def _asked(self, demand: Demand, login: Credentials | None) -> _Answer:
        if login is not None and login.identity_token:
            return await self._post(
                demand, {"grant_type": "refresh_token", "refresh_token": self._newest(login)}
            )
        if login is None or not login.basic:
            return await self._get(demand, None)
        password = {"grant_type": "password", "username": login.username, "password": login.password}
        if demand.realm in self._posted:
            answer = await self._post(demand, password)
            if answer.status not in _TAKES_NO_POST:
                return answer
            self._posted.discard(demand.realm)
        first = await self._get(demand, login.basic)
        if first.status not in _TAKES_NO_GET:
            return first
        second = await self._post(demand, password)
        if second.status in _TAKES_NO_POST and first.status in (400, 401):
            return first
        if second.status // 100 == 2:
            self._posted.add(demand.realm)
        return second

    def _newest(self, login: Credentials) -> str:
        return self._following.get(login.identity_token, login.identity_token)

    async def _get(self, demand: Demand, basic: str | None) -> _Answer:
        query = [("scope", scope) for scope in demand.scopes]
        query += [("service", demand.service)] if demand.service else []
        url = URL(demand.realm).extend_query(query)
        return await self._ask("GET", url, {"Authorization": basic} if basic else {}, None)

    async def _post(self, demand: Demand, grant: Mapping[str, str]) -> _Answer:
        form = {**grant, "client_id": CLIENT_ID, "scope": " ".join(demand.scopes)}
        if demand.service:
            form["service"] = demand.service
        # not reused: a service that answers before it has read the form would take the rest for a request
        return await self._ask("POST", URL(demand.realm), {"Connection": "close"}, form)

    async def _ask(
        self, method: str, url: URL, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> _Answer:
        """One request, and the redirects that it leads to; to another place without what we know of us. Nothing that
        was sent is repeated in a failure."""
        for _ in range(REDIRECTS + 1):
            answer = await self._once(method, url, headers, form)
            location = answer.headers.get("Location", "")
            if not location or answer.status not in (_MOVED if method == "GET" else _MOVED_AS_IT_IS):
                return answer
            following = url_of(redirected(str(url), location, self._session.way, self._parent))
            if not same_place(str(following), str(url)) and not _safer(following, url):
                if form is not None:
                    return answer
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            url = following
        raise SourceUnavailable(
            f"the token service {url.authority} leads to more than {REDIRECTS} redirects", source=self._parent
        )

    async def _once(
        self, method: str, url: URL, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> _Answer:
        limit = aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=self._connect)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        try:
            async with self._session.request(
                method, url, headers=headers, data=form, allow_redirects=False, timeout=limit
            ) as response:
                return _Answer(response.status, response.headers, await self._body(response, url))
        except TimeoutError:
            why = f"does not answer within {TIMEOUT:.0f} s"
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            why = f"cannot be asked: {cause(fault)}"
        raise SourceUnavailable(f"the token service {url.authority} {why}", source=self._parent)

    async def _body(self, response: aiohttp.ClientResponse, url: URL) -> bytes:
        """Without the coding that it came in, though identity was asked for."""
        data = b""
        async for part in response.content.iter_any():
            data += part
            if len(data) > ANSWER_LIMIT:
                raise SourceUnavailable(
                    f"the answer of the token service {url.authority} has no end", source=self._parent
                )
        return decoded(data, response.headers.get("Content-Encoding", ""), ANSWER_LIMIT)

    def _failure(self, answer: _Answer, demand: Demand, login: Credentials | None) -> Exception:
        status, said = answer.status, f"the token service {_host(demand)} answered {answer.status}"
        if status == 429:
            wait = retry_after(answer.headers, self._clock())
            self._throttled = {demand.realm: self._clock() + (1.0 if wait is None else wait)}
            return SourceThrottled(said, source=self._parent, retry_after=wait)
        if login is not None and (status == 401 or (status == 400 and login.identity_token)):
            self._following.pop(login.identity_token, None)  # the one it came from may still be good
            return LoginRefused(said, source=self._parent)
        if status in (400, 401, 403):
            return SourceDenied(said, source=self._parent)
        return SourceUnavailable(
            said, source=self._parent, retry_after=retry_after(answer.headers, self._clock())
        )


def _safer(url: URL, former: URL) -> bool:
    """Return whether `url` is the same host as `former`, by TLS instead of in the open."""
    return (former.scheme, url.scheme, url.port) == ("http", "https", 443) and url.host == former.host


def _host(demand: Demand) -> str:
    return urlsplit(demand.realm).netloc
