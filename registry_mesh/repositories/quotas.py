"""Quotas of projects: how many bytes the repositories below a name may have in all, each digest counted once.

What counts is what the documents of those repositories name, and what unfinished uploads hold, read anew: no account is
kept that a crash could leave wrong. A count is good for twenty times as long as it took, so counting costs a process at
most a twentieth of its time; what the process takes meanwhile is added to it. Of a project that is nearly full, or
whose quota is small beside what comes, the processes of a machine take by turns, and count at each.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, parse_name
from registry_mesh.oci.refusals import Denied, NameInvalid
from registry_mesh.ports.documents import decode
from registry_mesh.ports.records import Records
from registry_mesh.ports.storage import Alone, with_others
from registry_mesh.ports.uploads import UnfinishedUploads
from registry_mesh.replication.sentences import size as told_size
from registry_mesh.repositories.keys import RepositoryKeys, digest_of
from registry_mesh.repositories.names import repository_names
from registry_mesh.tasks.flights import Flights
from registry_mesh.tasks.together import ask_each

_GOOD_FOR: Final = 20.0
"""Times of what a count took for which it is good."""
_NEARLY: Final = 0.9
"""The share of a quota from which a project is nearly full."""
_SMALL: Final = 16
"""A quota is small beside what would not fit so many times."""
_KNOWN: Final = 16
"""Hex digits at either end of a digest by which it is remembered."""


class QuotaExceeded(Denied):
    """A project would have more bytes than it may (403)."""


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


class Account:
    """What one project has, as it was counted last, and what this process added since."""

    def __init__(
        self,
        records: Records,
        project: str,
        limit: int,
        ticks: Callable[[], float],
        uploads: UnfinishedUploads | None = None,
    ) -> None:
        self.project = project
        self.limit = limit
        self.used = 0
        self._coming: dict[str, int] = {}
        """What running uploads of this process will have, by their ids, as they have announced."""
        self._unfinished: dict[str, int] = {}
        """What unfinished uploads have, as it was counted last, and as this process left them since."""
        self._left: dict[str, tuple[int | None, float]] = {}
        """How this process left uploads lately (None: they are over), and when: a count may have missed it."""
        self._uploads = uploads
        self._records = records
        self._ticks = ticks
        self._sizes: dict[int, int] = {}
        self._added: dict[int, tuple[int, float]] = {}
        """What was added lately, and when: a count under way may have missed it."""
        self._good_until: float | None = None
        self._counted: float | None = None
        """When the count began that holds."""
        self._turn = asyncio.Lock()
        self._flights: Flights[str, None] = Flights()

    def __repr__(self) -> str:
        return f"<{self.project}: {self.used} of {self.limit}>"

    def covers(self, name: RepositoryName) -> bool:
        """Whether a repository belongs to the project."""
        return name == self.project or name.startswith(f"{self.project}/")

    def has(self, digest: Digest) -> bool:
        """Whether a repository of the project has it already."""
        return _key(digest) in self._sizes

    def coming(self, but: str = "") -> int:
        """Bytes of uploads that are not finished, as far as they are known to come; `but` for one of them."""
        known = (self._coming.keys() | self._unfinished.keys()) - {but}
        return sum(max(self._coming.get(each, 0), self._unfinished.get(each, 0)) for each in known)

    @property
    def unfinished(self) -> int:
        """Bytes that unfinished uploads have."""
        return sum(self._unfinished.values())

    def announce(self, upload: str, size: int) -> None:
        """An upload that runs in this process will have `size` bytes."""
        self._coming[upload] = size

    def leave(self, upload: str) -> None:
        """It runs no more, and may be gone on with, unless it is over already."""
        size = self._coming.pop(upload, None)
        if size is not None:
            self._note(upload, size)

    def end(self, upload: str) -> None:
        """It is over: what it had is a blob, or nothing."""
        self._coming.pop(upload, None)
        self._note(upload, None)

    def _note(self, upload: str, size: int | None) -> None:
        self._left[upload] = size, self._ticks()
        self._unfinished = _with(self._unfinished, {upload: size})

    def add(self, digest: Digest, size: int) -> None:
        """A repository of the project has it from now on."""
        self._added[_key(digest)] = (size, self._ticks())
        if not self.has(digest):
            self._sizes[_key(digest)] = size
            self.used += size

    def is_tight(self, more: int) -> bool:
        """Whether what other processes take meanwhile could make the difference to `more` bytes."""
        coming = self.coming() + more
        return self.used + coming > _NEARLY * self.limit or self.used + _SMALL * coming > self.limit

    @asynccontextmanager
    async def turn(self, alone: Alone) -> AsyncIterator[None]:
        """Nobody else on this machine takes of the project meanwhile; counted anew."""
        word = f"quota-{hashlib.sha256(self.project.encode()).hexdigest()[:32]}"
        async with self._turn, alone(word, lambda owner: None):
            await self._count()
            yield

    def refuse(self, more: int, others: int = 0) -> None:
        """`QuotaExceeded` where `more` bytes, beside `others` that come, do not fit."""
        if more and self.used + others + more > self.limit:
            coming = f", {told_size(others)} are on their way or in unfinished uploads" if others else ""
            raise QuotaExceeded(
                f"project {self.project} uses {told_size(self.used)} of its {told_size(self.limit)}{coming}; "
                f"this push would add {told_size(more)}: delete what is not needed, or ask for a larger quota",
                project=self.project,
                quota=self.limit,
                used=self.used,
                coming=others,
                asked=more,
            )

    async def look(self) -> None:
        """Count anew where the last count is too old."""
        if self._good_until is None or self._ticks() >= self._good_until:
            await self._flights.join("count", self._count)

    async def _count(self) -> None:
        began = self._ticks()
        sizes: dict[int, int] = {}
        async for name in self._names():
            await self._count_repository(RepositoryKeys(name), sizes)
        unfinished = await self._count_uploads()
        if self._counted is not None and began < self._counted:
            return  # one that began later was faster
        self._counted = began
        self._added = {key: each for key, each in self._added.items() if each[1] >= began}
        self._sizes = sizes | {key: size for key, (size, _) in self._added.items()}
        self.used = sum(self._sizes.values())
        self._left = {upload: each for upload, each in self._left.items() if each[1] >= began}
        self._unfinished = _with(unfinished, {upload: size for upload, (size, _) in self._left.items()})
        self._good_until = self._ticks() + _GOOD_FOR * (self._ticks() - began)

    async def _count_uploads(self) -> dict[str, int]:
        if self._uploads is None:
            return {}
        return {
            each.id: each.size async for each in self._uploads.unfinished() if self.covers(each.repository)
        }

    async def _names(self) -> AsyncIterator[RepositoryName]:
        with suppress(NameInvalid):
            yield parse_name(self.project)
        async for name in repository_names(self._records, f"{self.project}/"):
            yield name

    async def _count_repository(self, keys: RepositoryKeys, sizes: dict[int, int]) -> None:
        """Sizes never change: only what was not known is read."""
        new: dict[int, str] = {}
        for prefix in (keys.blobs, keys.manifests):
            async for key in self._records.walk(prefix):
                digest = digest_of(key)
                if digest is None:
                    continue
                known = _key(digest)
                if known in self._sizes:
                    sizes[known] = self._sizes[known]
                elif known not in sizes:
                    new[known] = key
        documents = await ask_each(self._records.get, list(new.values()))
        for (known, key), data in zip(new.items(), documents, strict=True):
            if data is not None:
                sizes[known] = int(decode(data, key).get("size", 0))


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


def _with(known: Mapping[str, int], since: Mapping[str, int | None]) -> dict[str, int]:
    """What is known, and what was noted since; None: it is there no more."""
    merged = {**known, **since}
    return {upload: size for upload, size in merged.items() if size is not None}


def _key(digest: Digest) -> int:
    return int(digest.hex[:_KNOWN] + digest.hex[-_KNOWN:], 16)
