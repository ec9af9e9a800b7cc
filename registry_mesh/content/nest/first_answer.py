"""The first answer of several parents: in which order they are asked, and who is asked beside one that is late."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from registry_mesh.content.nest.candidates import Candidate, Told, Unknown, answering_again
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.hedges import soon
from registry_mesh.content.nest.race import Race, Won
from registry_mesh.content.nest.spread import Spread, ordered
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import Failure, SourceLied, SourceUnavailable, SourceUnreadable
from registry_mesh.ports.repositories import Repository

T = TypeVar("T")


class FirstAnswer:
    """Asks the candidates of one repository: groups in order, the members of a group as `spread` says."""

    def __init__(self, groups: Sequence[Sequence[Candidate]], distrusted: Distrusted, spread: Spread) -> None:
        self._groups = groups
        self._distrusted = distrusted
        self._spread = spread

    def order(self, digest: Digest | None) -> tuple[list[Candidate], list[str]]:
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

    async def of(
        self,
        what: str,
        ask: Callable[[Repository], Awaitable[T]],
        digest: Digest | None = None,
        undo: Callable[[T], Awaitable[None]] | None = None,
    ) -> T:
        """The first answer. While a candidate is late the next is asked beside it; `undo` takes back an answer that
        came too late to be of use. One that was late with `what` lately is asked after the others."""
        candidates, reasons = self.order(digest)
        candidates.sort(key=lambda each: self._is_slow(each.parent.name, what))
        told = Told(reasons)
        race: Race[Candidate, T] = Race(undo)
        try:
            won = await self._raced(what, ask, candidates, race, told, digest)
            if won is None and (again := await answering_again(told.down)):
                told.down = [each for each in told.down if each not in again]
                won = await self._raced(what, ask, again, race, told, digest)
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
        told: Told,
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
        told: Told,
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
        self, race: Race[Candidate, T], wait: float | None, told: Told, digest: Digest | None
    ) -> Won[Candidate, T] | None:
        """The first that answers; None where none does, or none within `wait` seconds."""
        while (outcome := await race.next(wait)) is not None:
            if isinstance(outcome, Won):
                return outcome
            fault, name = outcome.fault, outcome.candidate.parent.name
            if isinstance(fault, Unknown):
                told.unknown = fault
            elif isinstance(fault, Failure):
                told.failed(name, self.noted(fault, name, digest) if isinstance(fault, SourceLied) else fault)
            else:
                raise fault
        return None

    def noted(self, lie: SourceLied, name: str, digest: Digest | None) -> Failure:
        """Count it here, where another candidate may make up for it; the caller is not to count it again. An answer
        that is none is not counted among wrong ones."""
        wrong = not isinstance(lie, SourceUnreadable)
        if digest is not None:
            self._distrusted.note(name, digest, lie.reason, counted=wrong)
        elif wrong:
            self._distrusted.count(name)
        return SourceUnavailable(lie.reason, source=name)
