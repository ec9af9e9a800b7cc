"""Quotas of projects: how many bytes the repositories below a name may have in all, each digest counted once.

An `Account` counts for one project; a push to a repository is booked on all that cover it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.records import Records
from registry_mesh.ports.storage import Alone, with_others
from registry_mesh.ports.uploads import UnfinishedUploads
from registry_mesh.repositories.account import Account


@dataclass(frozen=True, slots=True)
class Used:
    """What a project has of what it may have, in bytes."""

    project: str
    used: int
    limit: int
    unfinished: int = 0
    """What unfinished uploads hold beside it."""

    @property
    def taken(self) -> int:
        """Both together."""
        return self.used + self.unfinished


class Quotas:
    """The accounts of a store. One a process."""

    def __init__(
        self,
        records: Records,
        limits: Mapping[str, int] | None = None,
        alone: Alone = with_others,
        ticks: Callable[[], float] = time.monotonic,
        uploads: UnfinishedUploads | None = None,
    ) -> None:
        """`limits`: bytes by project, which is a repository's name or the first components of several. `alone`: how
        the processes of a machine take turns. `uploads`: whose unfinished ones count."""
        self._alone = alone
        self._accounts = [
            Account(records, project, limit, ticks, uploads)
            for project, limit in sorted((limits or {}).items())
        ]

    async def used(self) -> list[Used]:
        """What every project has."""
        for account in self._accounts:
            await account.look()
        return [Used(each.project, each.used, each.limit, each.unfinished) for each in self._accounts]

    async def of(self, name: RepositoryName) -> Share:
        """What a repository may still take."""
        accounts = [each for each in self._accounts if each.covers(name)]
        for account in accounts:
            await account.look()
        return Share(accounts)

    @asynccontextmanager
    async def taking(
        self, name: RepositoryName, size: int, digest: Digest | None, upload: str = ""
    ) -> AsyncIterator[Share]:
        """To be entered while something is linked to a repository: `QuotaExceeded` where it does not fit. See
        `Share.demand`."""
        share = await self.of(name)
        async with AsyncExitStack() as stack:
            for account in share.accounts:
                if (digest is None or not account.has(digest)) and account.is_tight(size):
                    await stack.enter_async_context(account.turn(self._alone))
            share.demand(size, digest, upload)
            yield share


@dataclass(frozen=True, slots=True)
class Share:
    """The accounts that a push to one repository is booked on; there may be none."""

    accounts: list[Account]

    def demand(self, size: int, digest: Digest | None = None, upload: str = "") -> None:
        """`QuotaExceeded` where `size` bytes do not fit. `digest`: what they are, which costs nothing where the project
        has it; `upload`: whose they are."""
        for account in self.accounts:
            if digest is None or not account.has(digest):
                account.refuse(size, account.coming(upload))

    def add(self, digest: Digest, size: int) -> None:
        """It was taken."""
        for account in self.accounts:
            account.add(digest, size)

    def announce(self, size: int, upload: str) -> None:
        """A running upload will have so many bytes."""
        for account in self.accounts:
            account.announce(upload, size)

    @contextmanager
    def announced(self, size: int, upload: str) -> Iterator[None]:
        """An upload will have so many bytes: others find less room meanwhile, and as long as it is not over."""
        self.announce(size, upload)
        try:
            yield
        finally:
            for account in self.accounts:
                account.leave(upload)

    def end(self, upload: str) -> None:
        """It is over."""
        for account in self.accounts:
            account.end(upload)
