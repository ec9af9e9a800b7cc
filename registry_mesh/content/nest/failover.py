"""A choice among several sources of one repository: groups in order, the members of a group sharing the load."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from cachetools import TTLCache

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.content.nest.race import Race, Won
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Reading
from registry_mesh.ports.failures import Failure, SourceDenied, SourceDown, SourceLied, SourceUnavailable
from registry_mesh.ports.parents import Parent
from registry_mesh.ports.repositories import FetchedManifest, Referrers, Repository, Resolved, TagPage

T = TypeVar("T")

Unknown: Final = (BlobUnknown, ManifestUnknown, NameUnknown)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A repository as one parent offers it."""

    parent: Parent
    repository: Repository


@dataclass(frozen=True, slots=True)
class _Lies:
    """Of one parent about one digest."""

    told: int
    last: float
    reason: str
    """Of the last."""


class Distrusted:
    """Which parent sent wrong bytes for which digest, lately. Shared by all repositories of a process.

    Who lied is asked after all others. Who lied `LIMIT` times is not asked for `PAUSE` seconds, and for twice as long
    after each further lie, up to `ttl`: the bytes may be right again soon, and where they are not, a large blob is not
    to be moved in vain again and again.
    """

    LIMIT: Final = 2
    PAUSE: Final = 5.0
    LATE: Final = 30.0
    """Seconds for which a parent that was late is asked after the others for things of that kind."""
    DOUBT: Final = 30.0
    """Seconds for which a parent that gave nothing of use of a blob is asked after the others for that one."""

    def __init__(
        self,
        ttl: float = 300.0,
        count: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl = ttl
        self._clock = clock
        self._lies: TTLCache[tuple[str, Digest], _Lies] = TTLCache(10_000, ttl, timer=clock)
        self._count = count
        self._late: TTLCache[tuple[str, str], bool] = TTLCache(10_000, self.LATE, timer=clock)
        self._doubts: TTLCache[tuple[str, Digest], float] = TTLCache(10_000, self.DOUBT, timer=clock)

    def note_late(self, names: Sequence[str], what: str) -> None:
        """Another answered before these did."""
        for name in names:
            self._late[name, what] = True

    def was_late(self, name: str, what: str) -> bool:
        """Whether another was quicker lately, where it was asked for `what`."""
        return (name, what) in self._late

    def doubt(self, source: str, digest: Digest) -> None:
        """`source` gave nothing of use, and is no liar for that: for `DOUBT` seconds it is asked after the others."""
        if source:
            self._doubts[source, digest] = self._clock()

    def doubted(self, source: str, digest: Digest) -> float:
        """When, on the clock; 0.0 where it is not."""
        return float(self._doubts.get((source, digest), 0.0))

    def note(self, source: str, digest: Digest, reason: str) -> None:
        """`source` names one parent or several, joined by a comma and a space."""
        for name in filter(None, source.split(", ")):
            self._lies[name, digest] = _Lies(self.lies(name, digest) + 1, self._clock(), reason)
            self.count(name)

    def count(self, name: str) -> None:
        """A parent's answer was wrong, whatever it was about."""
        if self._count is not None:
            self._count(name)

    def lies(self, source: str, digest: Digest) -> int:
        known = self._lies.get((source, digest))
        return known.told if known is not None else 0

    def reason(self, source: str, digest: Digest) -> str:
        """What it did wrong last; empty where that is nothing."""
        known = self._lies.get((source, digest))
        return known.reason if known is not None else ""

    def suspects(self, source: str, digest: Digest) -> bool:
        """Whether it is to be asked after those that are not."""
        return bool(self.lies(source, digest) or self.doubted(source, digest))

    def shunned(self, source: str, digest: Digest) -> bool:
        """Whether it is not to be asked now."""
        known = self._lies.get((source, digest))
        if known is None or known.told < self.LIMIT:
            return False
        pause = min(self._ttl, self.PAUSE * 2.0 ** min(known.told - self.LIMIT, 30))
        return self._clock() - known.last < pause


class Failover:
    """Blobs, manifests, tags and referrers of one repository from the first candidate that can tell.

    What one candidate does not know another may; only when every one said so is it unknown. When one could not
    be asked the answer is a failure: "unknown" would be a wrong fact.
    """

    def __init__(self, groups: Sequence[Sequence[Candidate]], distrusted: Distrusted) -> None:
        self._groups = groups
        self._distrusted = distrusted

    def _order(self, digest: Digest | None) -> tuple[list[Candidate], list[str]]:
        """Candidates to ask, best first, and the names of those who lied."""
        asked: list[Candidate] = []
        left: list[str] = []
        suspects: list[Candidate] = []
        for group in self._groups:
            for candidate in sorted(group, key=lambda c: c.parent.load):
                name = candidate.parent.name
                if digest is None or not self._distrusted.suspects(name, digest):
                    asked.append(candidate)
                elif self._distrusted.shunned(name, digest):
                    left.append(f"{name}: {self._distrusted.reason(name, digest)}")
                else:
                    suspects.append(candidate)
        if digest is not None:
            suspects.sort(key=lambda c: self._distrusted.doubted(c.parent.name, digest))
        return asked + suspects, left

    async def _first(
        self,
        what: str,
        ask: Callable[[Repository], Awaitable[T]],
        digest: Digest | None = None,
        undo: Callable[[T], Awaitable[None]] | None = None,
    ) -> T:
        """The first answer. While a candidate is late the next is asked beside it; `undo` takes back an answer that
        came too late to be of use. Who was late with `what` lately is asked after the others."""
        candidates, reasons = self._order(digest)
        candidates.sort(key=lambda each: self._distrusted.was_late(each.parent.name, what))
        race: Race[Candidate, T] = Race(undo)
        told = _Told(reasons)
        try:
            for candidate in candidates:
                if not candidate.parent.available:  # seen now: it may have gone while another was asked
                    told.reasons.append(f"{candidate.parent.name}: {candidate.parent.reason}")
                    continue
                race.begin(candidate, ask(candidate.repository))
                wait = None if candidate is candidates[-1] else candidate.parent.late
                if (won := await self._winner(race, wait, told, digest)) is not None:
                    self._distrusted.note_late([each.parent.name for each in race.late()], what)
                    return won.answer
            if (won := await self._winner(race, None, told, digest)) is not None:
                return won.answer
        finally:
            await race.close()
        raise told.together()

    async def _winner(
        self, race: Race[Candidate, T], wait: float | None, told: _Told, digest: Digest | None
    ) -> Won[Candidate, T] | None:
        """Who answers first; None where nobody does, or nobody within `wait` seconds."""
        while (outcome := await race.next(wait)) is not None:
            if isinstance(outcome, Won):
                return outcome
            fault, name = outcome.fault, outcome.candidate.parent.name
            if isinstance(fault, Unknown):
                told.unknown = fault
            elif isinstance(fault, Failure):
                told.failed(
                    name, self._noted(fault, name, digest) if isinstance(fault, SourceLied) else fault
                )
            else:
                raise fault
        return None

    def _noted(self, lie: SourceLied, name: str, digest: Digest | None) -> Failure:
        """Count it here, where another candidate may make up for it; who asked us is not to count it again."""
        if digest is None:
            self._distrusted.count(name)
        else:
            self._distrusted.note(name, digest, lie.reason)
        return SourceUnavailable(lie.reason, source=name)

    async def stat(self, digest: Digest) -> BlobInfo:
        """The size as the first candidate tells it."""
        return await self._first("sizes", lambda r: r.blobs.stat(digest), digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Open at the first candidate that begins to answer."""

        async def opened(repository: Repository) -> tuple[AsyncExitStack, Reading]:
            stack = AsyncExitStack()
            return stack, await stack.enter_async_context(repository.blobs.open(digest, span))

        async def close(late: tuple[AsyncExitStack, Reading]) -> None:
            await late[0].aclose()

        stack, reading = await self._first("blobs", opened, digest, close)
        async with stack:
            yield reading

    async def chunk_map(self, digest: Digest) -> ChunkMap | None:
        """Of the first candidate that has one. None where those that can be asked say that they have none: one that
        has, and fails to tell, must not pass for one that has not."""
        candidates, reasons = self._order(digest)
        failures: list[Failure] = []
        answered = False
        for candidate in candidates:
            if not candidate.parent.available:
                reasons.append(f"{candidate.parent.name}: {candidate.parent.reason}")
                continue
            try:
                found = await candidate.repository.blobs.chunk_map(digest)
            except Unknown:
                answered = True
                continue
            except Failure as failure:
                if isinstance(failure, SourceLied):
                    failure = self._noted(failure, candidate.parent.name, digest)
                failures.append(failure)
                reasons.append(f"{candidate.parent.name}: {failure.reason}")
                continue
            if found is not None:
                return found
            answered = True
        if failures or not answered:
            raise _together(failures, reasons)
        return None

    async def manifest(self, digest: Digest) -> FetchedManifest:
        return await self._first("manifests", lambda r: r.manifests.manifest(digest), digest)

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        return await self._first("tags", lambda r: r.tags.resolve(tag, known))

    async def tags(self, limit: int, last: str = "") -> TagPage:
        return await self._first("lists", lambda r: r.tags.tags(limit, last))

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        """Of the first candidate that has some: a parent that lacks the subject says that it has none, too. None where
        no candidate that answers has any."""
        nothing: list[Referrers] = []

        async def some(repository: Repository) -> Referrers:
            found = await repository.referrers.referrers(subject, tagged)
            if not found.descriptors:
                nothing.append(found)
                raise ManifestUnknown("it has no referrers", digest=str(subject))
            return found

        try:
            return await self._first("referrers", some)
        except (Failure, *Unknown):
            if nothing:
                return nothing[0]
            raise


@dataclass(slots=True)
class _Told:
    """What the candidates said that have no answer."""

    reasons: list[str]
    failures: list[Failure] = field(default_factory=list)
    unknown: Exception | None = None

    def failed(self, name: str, failure: Failure) -> None:
        self.failures.append(failure)
        self.reasons.append(f"{name}: {failure.reason}")

    def together(self) -> Exception:
        """Unknown only where every one said so."""
        if self.unknown is not None and not self.reasons:
            return self.unknown
        return _together(self.failures, self.reasons)


def _together(failures: Sequence[Failure], reasons: Sequence[str]) -> Failure:
    """One failure that tells of all: denied only where nobody had another trouble."""
    if failures and all(isinstance(f, SourceDenied) for f in failures) and len(reasons) == len(failures):
        return failures[0]
    if len(failures) == 1 and len(reasons) == 1:
        return failures[0]
    waits = [f.retry_after for f in failures if f.retry_after is not None]
    kind = SourceUnavailable if failures else SourceDown
    return kind("; ".join(reasons) or "no parent is configured", retry_after=min(waits) if waits else None)
