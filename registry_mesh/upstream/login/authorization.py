"""What a parent is shown of who we are: Basic, or a token of its token service."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urljoin, urlsplit

from yarl import URL

from registry_mesh.auth.challenge import Challenge
from registry_mesh.auth.hosts import place, same_place
from registry_mesh.auth.realms import may_ask, may_tell
from registry_mesh.auth.scopes import scopes_to_ask
from registry_mesh.ports.failures import LoginRefused, SourceDenied
from registry_mesh.tasks.flights import Flights
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.upstream.login.credentials import Credentials
from registry_mesh.upstream.login.logins import Login
from registry_mesh.upstream.login.token_service import Demand, TokenService
from registry_mesh.upstream.login.tokens import Tokens
from registry_mesh.upstream.way import Client

log: Final = logging.getLogger(__name__)

LATELY: Final = 60.0
"""Seconds for which a login that was taken is no wrong one: a 401 then is about what was asked for."""
PAUSE: Final = 10.0
"""Seconds for which a login that was refused is not shown to a token service again: accounts are locked for less."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request is about: a registry (as `ns` names it; empty: the parent's own), and the scope it needs."""

    registry: str
    scope: str

    @property
    def repository(self) -> str:
        """The repository of the scope; empty where it is about something else."""
        kind, _, rest = self.scope.partition(":")
        return rest.rpartition(":")[0] if kind == "repository" else ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A header, and whose it is."""

    header: str = field(default="", repr=False)
    login: Credentials | None = None
    fresh: Demand | None = None
    """What the token was fetched for just now; None: it is no token, or was used before."""


@dataclass(frozen=True, slots=True)
class _Source:
    demand: Demand
    login: Credentials | None


class Authorization:
    """The Authorization headers for one parent: tokens by question, and what its challenges lead to."""

    def __init__(
        self,
        session: Client,
        url: str,
        login: Login | None = None,
        token_service: str = "",
        connect: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`token_service`: the URL of the only one that may be told the login; empty: see `may_tell`.
        `connect`: seconds for a connection to it."""
        self.login = login
        self.name = urlsplit(url).netloc
        self._url = url
        self._configured = token_service
        self._pinned = ""
        self._service = TokenService(session, self.name, connect)
        self._tokens: Tokens[Question, _Source] = Tokens(clock)
        self._flights: Flights[tuple[Question, Demand], str] = Flights()
        self._direct = ""
        self._refused: tuple[Credentials, float] | None = None
        self._taken: tuple[Credentials, float] | None = None
        self._clock = clock
        self._said: dict[str, float] = {}

    async def close(self) -> None:
        """End what runs."""
        await self._flights.close()
        if self.login is not None:
            await self.login.close()

    async def known(self, question: Question) -> Shown:
        """Return what was good for the question before."""
        if self._direct and self.login is not None:
            login = await self.login.of(question.repository)
            if login is not None and (header := self._shown_directly(login)):
                return Shown(header, login)
        token, source = self._tokens.get(question), self._tokens.source(question)
        if token is None or source is None:
            return Shown()
        if self._tokens.ageing(question):
            self._flights.launch((question, source.demand), partial(self._fetch, question, source))
        return Shown(f"Bearer {token}", source.login)

    def _shown_directly(self, login: Credentials) -> str:
        """Return the header that needs no token service."""
        if self._direct == "basic":
            return login.basic
        return f"Bearer {login.registry_token}" if login.registry_token else ""

    def forget(self, question: Question, shown: Shown) -> bool:
        """Drop what was shown, as it is not taken. Return whether another request has got something newer."""
        token = self._tokens.get(question)
        if token is not None and f"Bearer {token}" != shown.header:
            return True
        self._tokens.drop(question)
        return False

    async def answer(
        self, demanded: Sequence[Challenge], question: Question, login: Credentials | None, own_scope: bool
    ) -> Shown | None:
        """Return what answers one of the challenges of a 401, a token rather than a password; None where we have
        nothing. With `own_scope` a token is asked for the question's own scope, not for the challenge's."""
        bearers = [challenge for challenge in demanded if challenge.scheme == "bearer"]
        for challenge in bearers:
            if login is not None and login.registry_token:
                self._direct = "bearer"
                return Shown(self._shown_directly(login), login)
            if found := await self._token(challenge, question, login, own_scope):
                return found
        if login is not None and login.basic and any(challenge.scheme == "basic" for challenge in demanded):
            self._direct = "basic"
            return Shown(login.basic, login)
        for realm in (challenge.parameters.get("realm") for challenge in bearers):
            if realm is not None:
                raise SourceDenied(
                    f"names a token service that it may not: {realm[:200]}; if it is right, configure token_service",
                    source=self.name,
                )
        return None

    async def _token(
        self, challenge: Challenge, question: Question, login: Credentials | None, own_scope: bool
    ) -> Shown | None:
        """Return a token of the challenge's token service; None where that may not be asked."""
        realm = _realm(challenge, self._url)
        if not realm or not may_ask(realm, self._url, self._configured):
            return None
        self._direct = ""
        stated = "" if own_scope else challenge.parameters.get("scope", "")
        demand = Demand(realm, challenge.parameters.get("service", ""), scopes_to_ask(stated, question.scope))
        told = login if login is not None and self._may_tell(realm) else None
        try:
            token = await self._flights.join(
                (question, demand), partial(self._fetch, question, _Source(demand, told))
            )
        except SourceDenied as denied:
            if login is None or told is not None:
                raise
            raise LoginRefused(
                f"{denied.reason}, which is not told this node's login: if it is the right one, "
                "configure token_service",
                source=self.name,
            ) from None
        return Shown(f"Bearer {token}", told, demand)

    def _may_tell(self, realm: str) -> bool:
        """Return whether the login may go to the token service: the first that it went to, or the parent itself."""
        if not may_tell(realm, self._url, self._configured):
            why = "the login is not told to a token service: if it is the right one, configure token_service"
        elif self._configured or same_place(realm, self._url) or same_place(realm, self._pinned or realm):
            self._pinned = self._pinned or realm
            return True
        else:
            why = "the login was told to another token service: restart if they moved, or configure token_service"
        self._say(logging.WARNING, why, {"token_service": urlsplit(realm).netloc})
        return False

    async def _fetch(self, question: Question, source: _Source) -> str:
        login = source.login
        refused, until = self._refused or (None, 0.0)
        if login is not None and login == refused and self._clock() < until:
            raise self.login_refused("the token service refused it a moment ago")
        try:
            answer = await self._service.token(source.demand, login)
        except LoginRefused as refused:
            if login is not None:
                self._refused = (login, self._clock() + PAUSE)
            raise self.login_refused(refused.reason) from None
        self._tokens.put(question, answer.token, answer.lifetime, source)
        return answer.token

    def note_taken(self, login: Credentials) -> None:
        """The parent let a request with the password of `login` pass."""
        self._taken = (login, self._clock())

    def taken_lately(self, login: Credentials) -> bool:
        """Return whether the parent took `login` not long ago."""
        taken, moment = self._taken or (None, 0.0)
        return login == taken and self._clock() - moment < LATELY

    def login_refused(self, why: str) -> LoginRefused:
        """Return the failure that the parent does not take our login, and say so in the log."""
        name = self.login.name if self.login is not None else "credentials"
        about = {"credentials": name, "why": why}
        self._say(logging.ERROR, "a parent does not take our login: put the right one in its place", about)
        return LoginRefused(f"this node's login ({name}) is not taken: {why}", source=self.name)

    def _say(self, level: int, what: str, about: Mapping[str, str]) -> None:
        """Write a line to the log, each at most once a minute."""
        now = self._clock()
        if now >= self._said.get(what, now):
            self._said[what] = now + 60.0
            log.log(level, what, extra={FIELDS: {"parent": self.name, **about}})


def _realm(challenge: Challenge, parent: str) -> str:
    """Return the address that the challenge names, a path as one of the parent's own; empty where there is none that
    the client can speak to."""
    realm = challenge.parameters.get("realm", "").strip()
    try:
        whole = urljoin(parent, realm) if realm.startswith("/") else realm
        return whole if place(str(URL(whole))) is not None else ""
    except ValueError:
        return ""
