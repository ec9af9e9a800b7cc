"""Whose credentials are shown: a person's password, a robot's secret, a token of ours or of others."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final

from registry_mesh.access.issuers import KeyUnknown, issuer_of
from registry_mesh.access.passwords import Passwords
from registry_mesh.access.tokens import TokenInvalid, Tokens, last_mark
from registry_mesh.auth.basic import TOKEN_USER, Login, parse_basic, parse_bearer
from registry_mesh.auth.book import Book, TokenReader
from registry_mesh.auth.certified import SUBJECT as NODE
from registry_mesh.auth.certified import name_of
from registry_mesh.auth.grants import Grants
from registry_mesh.auth.identity import ANONYMOUS_NAME, Identity
from registry_mesh.auth.revoked import mark
from registry_mesh.auth.robots import SUBJECT, Robot, digest, robot_of
from registry_mesh.oci.refusals import Unauthorized

_NOBODY: Final = Robot("", digest(""), 0.0)
WRONG: Final = "the user name or the password is wrong"

Renew = Callable[[str], Awaitable[None]]
"""Asks an issuer, by its name, for its keys of today, unless that was done just now."""


async def never(issuer: str) -> None:
    """Keys come from files alone."""


class Callers:
    """Knows callers by `book`, which may be replaced. `renew` is asked where a token is signed by a key that its issuer
    is not known by."""

    def __init__(self, book: Book, tokens: Tokens, clock: Callable[[], float], renew: Renew = never) -> None:
        self.book = book
        self._tokens = tokens
        self._clock = clock
        self._renew = renew
        self._passwords = Passwords()

    async def identify(self, authorization: str) -> Identity:
        """Who an `Authorization` field is of. `Unauthorized`, `TokenInvalid`, `TooManyRequests`."""
        if (certified := name_of(authorization)) is not None:
            return Identity(NODE + certified)
        login, token = parse_basic(authorization), parse_bearer(authorization)
        if login is not None:
            return await self.login(login)
        if token is not None:
            return await self._bearer(token)
        raise Unauthorized("only Basic and Bearer credentials are understood")

    async def login(self, login: Login) -> Identity:
        """Whose login it is. `Unauthorized`, `TooManyRequests`."""
        if login.user == TOKEN_USER:
            return await self._identified(login.password)
        name = robot_of(login.user)
        if name is not None:
            return self._robot(name, login.password)
        if not await self._passwords.fit(login, self.book.hashes):
            raise Unauthorized(WRONG)
        return Identity(login.user, credential=self.credential(login.user) or "")

    async def _identified(self, token: str) -> Identity:
        try:
            identity = await self._bearer(token)
        except TokenInvalid as fault:
            raise Unauthorized(str(fault)) from None
        if self._issuer(token) is None:  # else each made of the one before it would end later
            raise Unauthorized("a token of this node is no login")
        return identity

    def _robot(self, name: str, secret: str) -> Identity:
        robot = self.book.robots.get(name)
        knows = (robot or _NOBODY).knows(secret)  # an unknown name costs what a wrong secret does
        if robot is None or not knows or self._clock() >= robot.until:
            raise Unauthorized(WRONG)
        return Identity(robot.subject, until=robot.until, credential=mark(robot.secret))

    async def _bearer(self, token: str) -> Identity:
        try:
            return self._read(token)
        except KeyUnknown as fault:
            await self._renew(fault.issuer)
            return self._read(token)

    def _issuer(self, token: str) -> TokenReader | None:
        """The issuer that a token says it is of; None of one of ours."""
        return self.book.issuers.get(issuer_of(token) or "") if self.book.issuers else None

    def _read(self, token: str) -> Identity:
        reader = self._issuer(token)
        return reader.verify(token, self._clock()) if reader is not None else self._holder(token)

    def _holder(self, token: str) -> Identity:
        """Whom a token was given to, if the password it was given for is still that one."""
        claims = self._tokens.verify(token, self._clock())
        own = claims.credential.partition(".")[0]
        if claims.subject != ANONYMOUS_NAME and own != self.credential(claims.subject):
            raise TokenInvalid("the token was given for a login that is no more")
        grants, credential = Grants.read(claims.access), last_mark(claims.credential)
        until = min(claims.until, self._end(claims.subject))
        return Identity(claims.subject, claims.groups, grants, until, credential)

    def _end(self, subject: str) -> float:
        """When its login ends, and with it every token that was given for it. `TokenInvalid` where it has ended."""
        robot = self.book.robots.get(subject.removeprefix(SUBJECT)) if subject.startswith(SUBJECT) else None
        if robot is not None and self._clock() >= robot.until:
            raise TokenInvalid("the token was given for a login that has ended")
        return robot.until if robot is not None else math.inf

    def credential(self, subject: str) -> str | None:
        """A mark of what the subject logs in with; of nobody it is none that a token can carry."""
        name, colon, rest = subject.partition(":")
        if not colon:
            kept = self.book.hashes.get(subject)
            return mark(kept, subject) if kept else None
        if f"{name}:" == SUBJECT:
            kept = robot.secret if (robot := self.book.robots.get(rest)) is not None else None
        else:
            kept = next((said for said, each in self.book.issuers.items() if each.name == name), None)
        return mark(kept) if kept else None
