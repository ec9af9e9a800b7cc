"""A choice among several sources of one repository: groups in order, the members of a group sharing the load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.hedges import soon
from registry_mesh.content.nest.race import Race, Won
from registry_mesh.content.nest.second_opinion import SecondOpinion
from registry_mesh.content.nest.spread import Spread, ordered
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Reading
from registry_mesh.ports.failures import (
    Failure,
    SourceDenied,
    SourceDown,
    SourceLied,
    SourceSlow,
    SourceUnavailable,
    SourceUnreadable,
)
from registry_mesh.ports.parents import Parent
from registry_mesh.ports.repositories import FetchedManifest, Referrers, Repository, Resolved, TagPage

T = TypeVar("T")

BESIDE: Final = 1 << 20
"""Bytes of a span that may be asked of two parents at once."""

Unknown: Final = (BlobUnknown, ManifestUnknown, NameUnknown)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A repository as one parent offers it."""

    parent: Parent
    repository: Repository


class Failover:
    """Blobs, manifests, tags and referrers of one repository from the first candidate that can tell.

    What one candidate does not know another may; only when every one said so is it unknown. When one could not
    be asked the answer is a failure: "unknown" would be a wrong fact.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Candidate]],
        distrusted: Distrusted,
        spread: Spread = Spread.LEAST_LOAD,
    ) -> None:
        self._spread = spread
        self._groups = groups
        self._distrusted = distrusted

    def _order(self, digest: Digest | None) -> tuple[list[Candidate], list[str]]:
        """Candidates to ask, best first, and the names of those who lied."""
        asked: list[Candidate] = []
        left: list[str] = []
        suspects: list[Candidate] = []
        for group in self._groups:
            for candidate in ordered(group, digest, self._spread):
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
        came too late to be of use. One that was late with `what` lately is asked after the others."""
        candidates, reasons = self._order(digest)
        candidates.sort(key=lambda each: self._is_slow(each.parent.name, what))
        told = _Told(reasons)
        race: Race[Candidate, T] = Race(undo)
        try:
            won = await self._raced(what, ask, candidates, race, told, digest)
            if won is None and (back := await _back(told.down)):
                told.down = [each for each in told.down if each not in back]
                won = await self._raced(what, ask, back, race, told, digest)
        finally:
            await race.close()
        if won is None:
            raise told.together()
        return won.answer

    def _is_slow(self, name: str, what: str) -> bool:
        """Whether it was late lately, or its bodies are far slower than those of others."""
        outdone = what == "blobs" and self._distrusted.paces.outdone(name)
        return outdone or self._distrusted.was_late(name, what)

    async def _raced(
        self,
        what: str,
        ask: Callable[[Repository], Awaitable[T]],
        candidates: Sequence[Candidate],
        race: Race[Candidate, T],
        told: _Told,
        digest: Digest | None,
    ) -> Won[Candidate, T] | None:
        """The first answer of those that can be asked; the others are told of."""
        for place, candidate in enumerate(candidates):
            if not candidate.parent.available:  # seen now: it may have gone while another was asked
                told.down.append(candidate)
                continue
            self._distrusted.hedges.asked()
            race.begin(candidate, ask(candidate.repository))
            beside = candidates[place + 1] if candidate is not candidates[-1] else None
            late = candidate.parent.late if beside is not None else None
            early = beside is not None and not self._is_second_best(beside.parent.name, what, digest)
            first = soon(candidate.parent.latency, candidate.parent.late) if early else late
            if (won := await self._in_time(race, first, late, told, digest)) is not None:
                self._note_beaten(won.candidate, race, what)
                return won
        return await self._winner(race, None, told, digest)

    async def _in_time(
        self,
        race: Race[Candidate, T],
        first: float | None,
        late: float | None,
        told: _Told,
        digest: Digest | None,
    ) -> Won[Candidate, T] | None:
        """The first that answers before another is to be asked: after `first` seconds where the budget allows it, else
        after `late`; None: nobody else is there to be asked."""
        won = await self._winner(race, first, told, digest)
        if won is not None or first is None or late is None or first >= late or not race.late():
            return won
        if self._distrusted.hedges.take():
            return None
        return await self._winner(race, late - first, told, digest)

    def _is_second_best(self, name: str, what: str, digest: Digest | None) -> bool:
        """Whether it is asked after the others for what it did lately: it is not hurried to."""
        return self._is_slow(name, what) or (digest is not None and self._distrusted.suspects(name, digest))

    def _note_beaten(self, winner: Candidate, race: Race[Candidate, T], what: str) -> None:
        hedges = self._distrusted.hedges
        hedges.answered(winner.parent.name, what)
        for each, seconds in race.late():
            beaten = hedges.beaten(each.parent.name, what)
            if beaten or seconds >= each.parent.late:
                self._distrusted.note_late([each.parent.name], what)

    async def _winner(
        self, race: Race[Candidate, T], wait: float | None, told: _Told, digest: Digest | None
    ) -> Won[Candidate, T] | None:
        """The first that answers; None where none does, or none within `wait` seconds."""
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
        """Count it here, where another candidate may make up for it; the caller is not to count it again. An answer
        that is none is not counted among wrong ones."""
        wrong = not isinstance(lie, SourceUnreadable)
        if digest is not None:
            self._distrusted.note(name, digest, lie.reason, counted=wrong)
        elif wrong:
            self._distrusted.count(name)
        return SourceUnavailable(lie.reason, source=name)

    async def stat(self, digest: Digest) -> BlobInfo:
        """The size as the first candidate tells it."""
        return await self._first("sizes", lambda r: r.blobs.stat(digest), digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Open at the first candidate that begins to answer. One whose body drips is asked after the others for a
        while, whatever is wanted."""

        large = span is None or len(span) > BESIDE
        asked = 0

        async def opened(repository: Repository) -> tuple[AsyncExitStack, Reading]:
            """Beside one that is late a large body is not asked for before the other has told that it answers."""
            nonlocal asked
            asked += 1
            stack = AsyncExitStack()
            try:
                if asked > 1 and large:
                    await repository.blobs.stat(digest)
                return stack, await stack.enter_async_context(repository.blobs.open(digest, span))
            finally:
                asked -= 1

        async def close(late: tuple[AsyncExitStack, Reading]) -> None:
            await late[0].aclose()

        stack, reading = await self._first("blobs", opened, digest, close)
        try:
            async with stack:
                yield reading
        except SourceSlow as slow:
            self._distrusted.note_late([slow.source], "blobs")
            raise

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """Of the first candidate that has one. Where a span of it is asked for the whole may never be there to be
        proven: `MapsDisputed` tells then that a second candidate's map differs."""
        candidates, reasons = self._order(digest)
        opinion = SecondOpinion(digest)
        if span is not None:
            opinion.begin(c for c in candidates if not self._distrusted.suspects(c.parent.name, digest))
        try:
            told = await self._map(digest, span, candidates, reasons)
            if told is not None:
                await opinion.compare(told[0], told[1].parent.name)
        finally:
            await opinion.close()
        return told[0] if told is not None else None

    async def _map(
        self, digest: Digest, span: Span | None, candidates: Sequence[Candidate], reasons: list[str]
    ) -> tuple[ChunkMap, Candidate] | None:
        """The map and whose it is. None where those that can be asked say that they have none: one that has, and fails
        to tell, must not pass for one that has not."""
        failures: list[Failure] = []
        answered = False
        for candidate in candidates:
            if not candidate.parent.available:
                reasons.append(f"{candidate.parent.name}: {candidate.parent.reason}")
                continue
            try:
                found = await candidate.repository.blobs.chunk_map(digest, span)
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
                return found, candidate
            answered = True
        if failures or not answered:
            raise _together(failures, reasons)
        return None

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """The manifest from the first parent that has it."""
        return await self._first("manifests", lambda r: r.manifests.manifest(digest), digest)

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """Of the first candidate that answers for it. One that has not followed the tag for a while says so: it is
        believed where nobody knows better."""
        stale: list[Resolved] = []

        async def followed(repository: Repository) -> Resolved:
            found = await repository.tags.resolve(tag, known)
            if found.provenance.stale:
                stale.append(found)
                raise ManifestUnknown("it has not followed the tag for a while", tag=tag)
            return found

        try:
            return await self._first("tags", followed)
        except (Failure, *Unknown):
            if stale:
                return stale[0]
            raise

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """A page of tags of the first parent that answers."""
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
    down: list[Candidate] = field(default_factory=list)
    """They were not asked."""

    def failed(self, name: str, failure: Failure) -> None:
        self.failures.append(failure)
        self.reasons.append(f"{name}: {failure.reason}")

    def together(self) -> Exception:
        """Unknown only where every one said so."""
        reasons = [*self.reasons, *(f"{each.parent.name}: {each.parent.reason}" for each in self.down)]
        if self.unknown is not None and not reasons:
            return self.unknown
        return _together(self.failures, reasons)


async def _back(down: Sequence[Candidate]) -> list[Candidate]:
    """Those of the parents that were left alone which answer again."""
    answers = await asyncio.gather(*(each.parent.back() for each in down))
    return [each for each, back in zip(down, answers, strict=True) if back]


def _together(failures: Sequence[Failure], reasons: Sequence[str]) -> Failure:
    """One failure that tells of all: denied only where nobody had another trouble."""
    if failures and all(isinstance(f, SourceDenied) for f in failures) and len(reasons) == len(failures):
        return failures[0]
    if len(failures) == 1 and len(reasons) == 1:
        return failures[0]
    waits = [f.retry_after for f in failures if f.retry_after is not None]
    down = all(isinstance(failure, SourceDown) for failure in failures)
    kind = SourceDown if down else SourceUnavailable
    return kind("; ".join(reasons) or "no parent is configured", retry_after=min(waits) if waits else None)
