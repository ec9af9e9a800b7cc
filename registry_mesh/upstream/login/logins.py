"""The logins for one parent, kept fresh."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from registry_mesh.tasks.flights import Flights
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.upstream.login.credentials import Credentials, CredentialsInvalid, Document
from registry_mesh.upstream.login.docker_config import server
from registry_mesh.upstream.login.kept_login import KeptLogin
from registry_mesh.upstream.login.login_sources import LoginSource, helper

log: Final = logging.getLogger(__name__)

PATIENCE: Final = 20.0
"""Seconds for which a request waits for its login."""
AGAIN: Final = 30.0
"""Seconds after which a source that failed is looked at again."""
EARLY: Final = 0.8
"""Part of a login's life after which the next one is fetched beside its use."""


class Login(Protocol):
    """Who we are towards one parent."""

    @property
    def name(self) -> str:
        """Return where it comes from, as the configuration calls it."""

    @property
    def trouble(self) -> str:
        """Return why there is none to use; empty where there is, or none is meant."""

    async def of(self, repository: str) -> Credentials | None:
        """Return the credentials for a repository (or for the registry, where empty); None: ask as nobody."""

    async def renewed(self, repository: str, refused: Credentials | None) -> bool:
        """Look again, as `refused` is no longer taken. Return whether there are others now."""

    async def close(self) -> None:
        """End what runs."""


class FixedLogin:
    """Credentials that never change."""

    name = "credentials"
    trouble = ""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def of(self, repository: str) -> Credentials:
        """The credentials, for whatever repository."""
        return self._credentials

    async def renewed(self, repository: str, refused: Credentials | None) -> bool:
        """False: there are no others."""
        return False

    async def close(self) -> None:
        """Nothing is to be closed."""
        return


class Logins:
    """What a source says of one parent, read again when it may have changed.

    What was good once stays until its end where the source fails later; what a file said stays also in a process that
    begins meanwhile. Without anything good the parent is asked as nobody, and the reason is in the log.
    """

    def __init__(
        self,
        source: LoginSource,
        url: str,
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE,
        last: LastFiles | None = None,
    ) -> None:
        """`url` is the parent's; `clock` tells Unix seconds; `patience`: seconds for which a request waits. `last`
        knows what the source said to the process before."""
        self._patience = patience
        self._kept = KeptLogin(last or LastFiles(), source.name, url)
        self._source = source
        self._url = url
        self._clock = clock
        self._document: Document | None = None
        self._look_at = 0.0
        self._looked = float("-inf")
        self._fault = ""
        self._helper: Logins | None = None
        self._flights: Flights[str, None] = Flights()

    @property
    def name(self) -> str:
        """Where the login comes from."""
        return self._source.name

    @property
    def trouble(self) -> str:
        """Why there is no good login just now; empty where there is one."""
        return self._fault or (self._helper.trouble if self._helper is not None else "")

    async def of(self, repository: str) -> Credentials | None:
        """The login for a repository: the helper's before the document's; None where there is none."""
        await self._current()
        if self._helper is not None and (found := await self._helper.of(repository)) is not None:
            return found
        return self._document.of(self._url, repository) if self._document is not None else None

    async def renewed(self, repository: str, refused: Credentials | None) -> bool:
        """Whether the source has another login than `refused` by now; it is read again at most once in its pause."""
        if "look" in self._flights or self._clock() - self._looked >= self._source.pause:
            await self._look()
        if self._helper is not None and await self._helper.renewed(repository, refused):
            return True
        return await self.of(repository) != refused

    async def close(self) -> None:
        """End the reading under way, and the helper's."""
        await self._flights.close()
        if self._helper is not None:
            await self._helper.close()

    async def _current(self) -> None:
        """See to it that what stands here is no older than it may be."""
        now = self._clock()
        if self._ended(now):
            self._document = None
        if now < self._look_at:
            return
        if self._document is None:
            await self._look()
        else:
            self._flights.launch("look", self._read)

    def _ended(self, now: float) -> bool:
        login = self._document.single if self._document is not None else None
        return login is not None and login.expires is not None and now >= login.expires

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._flights.join("look", self._read)
        except TimeoutError:
            self._look_at = self._clock() + AGAIN
            self._failed(f"it cannot be read within {self._patience:g} s")

    async def _read(self) -> None:
        self._looked = self._clock()
        try:
            document = await self._source.read()
        except CredentialsInvalid as fault:
            self._look_at = self._clock() + max(self._source.pause, min(self._source.lasting, AGAIN))
            await self._recall()
            self._failed(str(fault))
            return
        self._look_at = self._clock() + self._lasting(document)
        if document is not None:
            await self._take(document)
        elif self._document is not None:
            self._judge(self._document)

    def _lasting(self, document: Document | None) -> float:
        login = document.single if document is not None else None
        left = self._source.lasting
        if login is not None and login.expires is not None:
            left = min(left, login.expires - self._clock())
            return max(left * EARLY, min(self._source.pause, 1.0))
        return left

    async def _take(self, document: Document) -> None:
        """Use what was read; not where it is damaged and what was there before is not."""
        if self._wrong(document):
            await self._recall()
        self._judge(document)
        if self._fault and document.of(self._url) is None and self._known():
            return
        await self._use(document)
        if not self._fault:
            await self._kept.keep(document)

    async def _recall(self) -> None:
        """Where nothing is known: use what was good in the process before."""
        if self._document is None and (document := await self._kept.read()) is not None:
            await self._use(document)

    async def _use(self, document: Document) -> None:
        before, self._helper = self._helper, None
        self._document = document
        if named := document.docker.helper(self._url):
            try:
                self._helper = Logins(helper(named, server(self._url)), self._url, self._clock)
            except CredentialsInvalid as fault:
                self._failed(str(fault))
        if before is not None:
            await before.close()

    def _judge(self, document: Document) -> None:
        """Say what is wrong with what was read, as far as it is about this parent."""
        if why := self._wrong(document):
            is_damaged = document.docker.faults(self._url)
            self._failed(why, logging.ERROR if is_damaged else logging.WARNING)
        else:
            self._mended()

    def _wrong(self, document: Document) -> str:
        if faults := document.docker.faults(self._url):
            return "; ".join(faults)
        lacks = document.of(self._url) is None and not self._partly(document)
        return document.docker.lacks(self._url) if lacks else ""

    def _partly(self, document: Document) -> bool:
        """Return whether there are logins for the parent all the same: for parts of it, or with a helper."""
        return bool(document.docker.helper(self._url)) or document.docker.knows(self._url)

    def _known(self) -> bool:
        return self._document is not None and self._document.of(self._url) is not None

    def _failed(self, why: str, level: int = logging.ERROR) -> None:
        """Note what is wrong; one line in the log for each new reason."""
        if why == self._fault:
            return
        self._fault = why
        log.log(
            level,
            "credentials cannot be read: those known are used on"
            if self._known()
            else "credentials cannot be used: the parent is asked anonymously",
            extra={FIELDS: {"credentials": self.name, "parent": self._url, "why": why}},
        )

    def _mended(self) -> None:
        if self._fault:
            log.info(
                "credentials can be used", extra={FIELDS: {"credentials": self.name, "parent": self._url}}
            )
        self._fault = ""
