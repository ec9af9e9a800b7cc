"""One request's way through a parent's demands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from registry_mesh.auth.challenge import Challenge
from registry_mesh.ports.failures import Failure, LoginRefused, SourceDenied
from registry_mesh.upstream.login.authorization import Authorization, Question, Shown

TRIES: Final = 3
"""Other headers that one request is sent again with."""


class Dialogue:
    """One request's way through a parent's demands: `header` is what it is to show, `refused` what to do then."""

    def __init__(self, authorization: Authorization, question: Question) -> None:
        self._authorization = authorization
        self._login = authorization.login
        self._question = question
        self._shown = Shown()
        self._tries = 0

    @property
    def header(self) -> str:
        """Return the Authorization field; empty for none."""
        return self._shown.header

    async def begin(self) -> None:
        """Show what was good before."""
        self._shown = await self._authorization.known(self._question)

    async def refused(self, status: int, challenges: Sequence[Challenge]) -> bool:
        """Return whether a request that was answered 401 or 403 is worth sending again, with another header. What
        the token service fails to do is raised."""
        self._tries += 1
        if self._tries > TRIES:
            return False
        shown, other = self._shown, await self._other_login()
        asks = status == 401 or (challenges and not shown.header)  # some say 403 where no login is shown
        if not asks and not other:
            return False
        newer = self._authorization.forget(self._question, shown)
        if newer or not asks:
            await self.begin()
            return True
        return await self._answered(challenges, shown, other)

    async def _other_login(self) -> bool:
        """Return whether there are credentials now that were not shown."""
        if self._login is None or (not self._shown.header and not self._login.trouble):
            return False
        return await self._login.renewed(self._question.repository, self._shown.login)

    async def _answered(self, challenges: Sequence[Challenge], shown: Shown, other: bool) -> bool:
        """Find another header. A token that was fetched for this is not fetched again, but with our own scope."""
        own_scope = shown.fresh is not None and not other
        if own_scope and shown.fresh is not None and shown.fresh.scopes == (self._question.scope,):
            return False
        found = await self._found(challenges, own_scope)
        if found is None or (found.header == shown.header and found.fresh is None):
            return False
        self._shown = found
        return True

    async def _found(self, challenges: Sequence[Challenge], own_scope: bool) -> Shown | None:
        """Answer the challenges; where our login is not taken, once more with the one that replaced it."""
        repository = self._question.repository
        login = await self._login.of(repository) if self._login is not None else None
        try:
            return await self._authorization.answer(challenges, self._question, login, own_scope)
        except LoginRefused:
            if login is None or self._login is None or not await self._login.renewed(repository, login):
                raise
            login = await self._login.of(repository)
            return await self._authorization.answer(challenges, self._question, login, own_scope)

    def passed(self) -> None:
        """The request was answered by neither 401 nor 403."""
        if self._shown.login is not None and self._shown.header.startswith("Basic "):
            self._authorization.note_taken(self._shown.login)

    def failure(self, status: int, said: str = "") -> Failure:
        """Return the failure that an answer of 401 or 403 is in the end; `said`: what the parent says of it itself."""
        shown, source = self._shown, self._authorization.name
        answered = f"answered {status}" + (f": {said}" if said else "")
        if self._login is not None and self._login.trouble and shown.login is None:
            why = f"{self._login.name}: {self._login.trouble}"
            return LoginRefused(f"{answered}, and this node's login cannot be used: {why}", source=source)
        by_password = shown.login if shown.header.startswith("Basic ") else None
        if status == 401 and by_password is not None and not self._authorization.taken_lately(by_password):
            return self._authorization.login_refused(answered)
        return SourceDenied(answered, source=source)
