"""What one project has of its quota, and what is on its way.

What counts is what the documents of those repositories name, and what unfinished uploads hold, read anew: no account is
kept that a crash could leave wrong. A count is good for twenty times as long as it took, so counting costs a process at
most a twentieth of its time; what the process takes meanwhile is added to it. Of a project that is nearly full, or
whose quota is small beside what comes, the processes of a machine take by turns, and count at each.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, parse_name
from registry_mesh.oci.refusals import Denied, NameInvalid
from registry_mesh.ports.documents import decode
from registry_mesh.ports.records import Records
from registry_mesh.ports.storage import Alone
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


def _with(known: Mapping[str, int], since: Mapping[str, int | None]) -> dict[str, int]:
    """What is known, and what was noted since; None: it is there no more."""
    merged = {**known, **since}
    return {upload: size for upload, size in merged.items() if size is not None}


def _key(digest: Digest) -> int:
    return int(digest.hex[:_KNOWN] + digest.hex[-_KNOWN:], 16)
