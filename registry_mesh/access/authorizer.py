"""The policy of a node where callers log in: who they are, by what they show, and what they may do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cachetools import LRUCache

from registry_mesh.access.callers import Callers, Renew, never
from registry_mesh.access.tokens import TokenInvalid, Tokens
from registry_mesh.auth.access import Action, Asked, Decision, Verdict
from registry_mesh.auth.basic import Login
from registry_mesh.auth.book import Book
from registry_mesh.auth.grants import Scope, actions_of, claim
from registry_mesh.auth.identity import ANONYMOUS, Identity
from registry_mesh.oci.reference import RepositoryName, full_name
from registry_mesh.oci.refusals import Unauthorized
from registry_mesh.ports.access import Issued
from registry_mesh.tasks.flights import Flights

KNOWN: Final = 1 << 16
"""Credentials remembered."""
BELIEVED: Final = 300.0
"""Seconds for which a password that fitted is not hashed again."""
DOUBTED: Final = 5.0
"""Seconds for which credentials that were wrong are not looked at again."""
REVOKED: Final = "the login was revoked"
_AUTHORITY: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")


@dataclass(frozen=True, slots=True)
class _Known:
    """What credentials are worth until a Unix time. `identity` None: nothing, for the reason."""

    identity: Identity | None
    until: float
    reason: str = ""


_UNKNOWN: Final = _Known(None, -math.inf, "the credentials are not known here")


class Authorizer:
    """Implements `auth.access.Policy` and `ports.access.TokenService`."""

    def __init__(
        self,
        book: Book,
        tokens: Tokens,
        clock: Callable[[], float],
        registries: Sequence[str] = (),
        realm: str | None = None,
        logins: bool = True,
        renew: Renew = never,
    ) -> None:
        """`registries` may be meant by a scope, which names none. `realm`: the address of the token service; where
        None, `/token` at the address that the client uses. `logins`: whether anybody can log in; where nobody can,
        credentials that come along all the same are not looked at. `renew`: see `Callers`."""
        self._callers = Callers(book, tokens, clock, renew)
        self._tokens = tokens
        self._clock = clock
        self._registries = tuple(registries) or ("",)
        self._realm = realm
        self.logins = logins
        self._known: LRUCache[str, _Known] = LRUCache(KNOWN)
        self._flights: Flights[str, None] = Flights()
        self.generation = 0
        self.revoked: frozenset[str] = frozenset()
        """Marks of credentials that are refused whatever the book says."""

    def replace(self, book: Book) -> None:
        """From now on this book holds: nothing that was decided by the old one is remembered."""
        self._callers.book = book
        self._known.clear()
        self.generation += 1

    def revoke(self, marks: frozenset[str]) -> None:
        """From now on these credentials are refused, and no others."""
        self.revoked = marks
        self.generation += 1

    @property
    def book(self) -> Book:
        """What holds now."""
        return self._callers.book

    # What the edge asks on each request

    async def learn(self, authorization: str) -> None:
        """See `Policy`. The same credentials that come several times at once are verified once."""
        for _ in range(2):  # the book may be replaced meanwhile
            if not self.logins or self._is_known(authorization):
                return
            await self._flights.join(authorization, lambda: self._verify(authorization))

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        """See `Policy`. A token is never good for more than its subject may do today."""
        if authorization is None or not self.logins:
            return self._judged(ANONYMOUS, asked)
        known = self._known.get(authorization, _UNKNOWN)
        if known.identity is None or self._clock() >= known.until:
            reason = known.reason or "the credentials have expired"
            return Decision(Verdict.AUTHENTICATE, reason=reason, error="invalid_token")
        if known.identity.credential in self.revoked:
            return Decision(Verdict.AUTHENTICATE, known.identity.subject, REVOKED, "invalid_token")
        decision = self._judged(known.identity, asked)
        return Decision(decision.verdict, decision.subject, decision.reason, decision.error, known.until)

    def challenge(self, asked: Asked, base: str = "", error: str = "") -> str:
        """A Bearer challenge (distribution's token specification, "How to authenticate")."""
        realm = self._realm or f"{base if _AUTHORITY.fullmatch(base) else ''}/token"
        parts = [f'Bearer realm="{realm}"', f'service="{self._tokens.service}"']
        if asked.repository:
            words = "pull" if asked.action is Action.PULL else f"pull,{asked.action.value}"
            parts.append(f'scope="repository:{asked.repository}:{words}"')
        elif asked.listed:
            parts.append('scope="registry:catalog:*"')
        return ",".join([*parts, f'error="{error}"'] if error else parts)

    def _judged(self, identity: Identity, asked: Asked) -> Decision:
        subject = identity.subject
        if not asked.repository:  # what is listed is asked about by itself
            if self.logins and identity is ANONYMOUS:
                return _LOGIN_FIRST
            return self._narrowed(identity, asked)
        if not self._callers.book.policies.judge(identity, asked).allowed:
            if (
                identity.is_anonymous
                and self.logins
                and not self._callers.book.policies.is_forgotten(asked.registry)
            ):
                return _LOGIN_FIRST
            return Decision(Verdict.DENY, subject, self._why_not(subject, asked))
        return self._narrowed(identity, asked)

    def _narrowed(self, identity: Identity, asked: Asked) -> Decision:
        """What is allowed to the subject, if its token was given for it."""
        if identity.grants is None or identity.grants.cover(asked):
            return Decision(Verdict.ALLOW, identity.subject)
        what = "the listing" if asked.listed else asked.action.value
        why = f"the token is not for {what}"
        return Decision(Verdict.AUTHENTICATE, identity.subject, why, "insufficient_scope")

    def _why_not(self, subject: str, asked: Asked) -> str:
        if self._callers.book.policies.is_forgotten(asked.registry):
            return (
                f"{asked.registry} is fetched with credentials of this node, and nothing says who may read it: its "
                f"operator adds readers: everybody, users, names or @groups below registries.{asked.registry} in the "
                f"node's configuration, or a policy with registries: {asked.registry}"
            )
        return f"{subject} may not {asked.action.value} here"

    # Credentials

    def _is_known(self, authorization: str) -> bool:
        known = self._known.get(authorization)
        return known is not None and self._clock() < known.until

    async def _verify(self, authorization: str) -> None:
        generation = self.generation
        known = await self._look(authorization)
        if generation == self.generation:
            self._known[authorization] = known

    async def _look(self, authorization: str) -> _Known:
        try:
            identity = await self._callers.identify(authorization)
        except (Unauthorized, TokenInvalid) as fault:
            return _Known(None, self._clock() + DOUBTED, str(fault))
        return _Known(identity, min(self._clock() + BELIEVED, identity.until))

    # The token service

    async def issue(self, login: Login | None, scopes: Sequence[Scope]) -> Issued:
        """See `TokenService`."""
        identity = ANONYMOUS if login is None else await self._callers.login(login)
        if identity.credential in self.revoked:
            raise Unauthorized(REVOKED)
        granted = [kept for scope in scopes if (kept := self._granted(identity, scope)).words]
        now = self._clock()
        left = identity.until - identity.leeway - now  # who reads the token adds it again
        seconds = int(min(self._tokens.lifetime, left))
        token = self._tokens.sign(
            identity.subject, claim(granted), self._credential(identity), now, seconds, identity.groups
        )
        return Issued(token, now, max(1, seconds), identity.subject)

    def _credential(self, identity: Identity) -> str:
        """What a token states of the password or secret that it is given for: see `Claims`."""
        own = self._callers.credential(identity.subject) or ""
        return own if identity.credential in ("", own) else f"{own}.{identity.credential}"

    def keys(self) -> dict[str, Any]:
        """See `TokenService`."""
        return self._tokens.keys()

    def _granted(self, identity: Identity, scope: Scope) -> Scope:
        words = ("pull", "push", "delete") if "*" in scope.words else scope.words
        if (scope.kind, scope.name) == ("registry", "catalog"):  # what is listed is asked about by itself
            return Scope(scope.kind, scope.name, ("*",) if "*" in scope.words else ())
        if scope.kind != "repository":
            return Scope(scope.kind, scope.name, ())
        return Scope(scope.kind, scope.name, tuple(w for w in words if self._may(identity, scope.name, w)))

    def _may(self, identity: Identity, name: str, word: str) -> bool:
        """Whether it may do any of that in any registry that the name may mean."""
        return any(
            self._callers.book.policies.judge(identity, asked).allowed
            and (identity.grants is None or identity.grants.cover(asked))
            for registry in self._registries
            for full in (full_name(registry, RepositoryName(name.removeprefix(f"{registry}/"))),)
            for action in actions_of(word)
            for asked in (Asked(action, registry, full),)
        )


_LOGIN_FIRST: Final = Decision(Verdict.AUTHENTICATE, reason="authentication required")
