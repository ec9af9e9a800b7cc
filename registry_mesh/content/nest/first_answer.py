"""The first answer of several parents: in which order they are asked, and who is asked beside one that is late."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from registry_mesh.content.nest.candidates import Candidate, Told, Unknown, answering_again
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.hedges import Hedge
from registry_mesh.content.nest.race import Race, Won
from registry_mesh.content.nest.spread import Spread, ordered
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import Failure, SourceLied, SourceUnavailable, SourceUnreadable
from registry_mesh.ports.parents import Parent
from registry_mesh.ports.repositories import Repository
from registry_mesh.ports.urgency import urgency

T = TypeVar("T")


@dataclass(slots=True)
class _Question(Generic[T]):
    """What is asked, of whom by now, and what those said that have no answer."""

    what: str
    ask: Callable[[Repository], Awaitable[T]]
    digest: Digest | None
    size: int
    """Bytes that an answer in vain brings at most."""
    race: Race[Candidate, T]
    told: Told
    hedged: list[str] = field(default_factory=list)
    """The parents that another was asked beside before they were late."""


class FirstAnswer:
    """Asks the candidates of one repository: groups in order, the members of a group as `spread` says."""

    def __init__(
        self, groups: Sequence[Sequence[Candidate]], distrusted: Distrusted, spread: Spread, hedge: Hedge
    ) -> None:
        self._hedge = hedge
        self._hedges = hedge is not Hedge.NONE and sum(map(len, groups)) > 1
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
            suspects.sort(key=lambda c: self._distrusted.blemish(c.parent.name, digest))
        return asked + suspects, left

    async def of(
        self,
        what: str,
        ask: Callable[[Repository], Awaitable[T]],
        digest: Digest | None = None,
        undo: Callable[[T], Awaitable[None]] | None = None,
        size: int = 0,
    ) -> T:
        """The first answer. While a candidate is late the next is asked beside it; `undo` takes back an answer that
        came too late to be of use, which brought `size` bytes at most. One that was late with `what` lately is asked
        after the others."""
        candidates, reasons = self._ranked(what, digest)
        told = Told(reasons)
        question = _Question(what, ask, digest, size, Race(undo), told)
        try:
            won = await self._raced(question, candidates)
            if won is None and (again := await answering_again(told.down)):
                told.down = [each for each in told.down if each not in again]
                won = await self._raced(question, again)
        finally:
            await question.race.close()
        self._tell_hedges(question, won)
        if won is None:
            raise told.together()
        return won.answer

    def _ranked(self, what: str, digest: Digest | None) -> tuple[list[Candidate], list[str]]:
        """As `order`, those that were late with `what` behind the others."""
        candidates, reasons = self.order(digest)
        candidates.sort(key=lambda each: self._distrusted.is_slow(each.parent, what))
        return candidates, reasons

    @property
    def hurries(self) -> bool:
        """Whether any may be asked beside another before that is late: not where nobody waits."""
        return self._hedges and not urgency().background

    def parent(self, name: str) -> Parent | None:
        """The parent of that name."""
        found = (each.parent for group in self._groups for each in group if each.parent.name == name)
        return next(found, None)

    def beside(self, first: Parent, what: str, digest: Digest | None) -> Candidate | None:
        """The best candidate, if it may be asked beside `first`."""
        candidates, _ = self._ranked(what, digest)
        others = (each for each in candidates if each.parent is not first and each.parent.available)
        other = next(others, None)
        return other if other is not None and self._may_hurry(first, other.parent, what, digest) else None

    def _may_hurry(self, first: Parent, other: Parent, what: str, digest: Digest | None) -> bool:
        """Whether the other may be asked beside it before it is late: none that is asked after the others for what it
        did lately."""
        second_best = self._distrusted.is_second_best(other, what, digest)
        return not second_best and self._hedge.allows(first, other)

    async def _raced(
        self, question: _Question[T], candidates: Sequence[Candidate]
    ) -> Won[Candidate, T] | None:
        """The first answer of those that can be asked; the others are told of."""
        race, what = question.race, question.what
        for place, candidate in enumerate(candidates):
            if not candidate.parent.available:  # seen now: it may have gone while another was asked
                question.told.down.append(candidate)
                continue
            self._distrusted.hedges.asked(candidate.parent)
            race.begin(candidate, question.ask(candidate.repository))
            beside = next((each for each in candidates[place + 1 :] if each.parent.available), None)
            if (won := await self._in_time(question, candidate, beside)) is not None:
                self._note_beaten(won.candidate, race, what)
                return won
        return await self._winner(question, None)

    async def _in_time(
        self, question: _Question[T], candidate: Candidate, beside: Candidate | None
    ) -> Won[Candidate, T] | None:
        """The first that answers before the one `beside` is to be asked: soon where it may be and the budget allows it,
        else when the candidate is late; None: nobody else is there to be asked."""
        if beside is None:
            return await self._winner(question, None)
        first, late = candidate.parent, candidate.parent.late
        soon = min(late, self._distrusted.hedges.soon(first, question.what)) if self.hurries else late
        won = await self._winner(question, soon)
        if won is not None or soon >= late or not question.race.late():
            return won
        hurries = self._may_hurry(first, beside.parent, question.what, question.digest)
        if hurries and self._distrusted.hedges.take(first.name, question.size):
            question.hedged.append(first.name)
            return None
        return await self._winner(question, late - soon)

    def _note_beaten(self, winner: Candidate, race: Race[Candidate, T], what: str) -> None:
        self._distrusted.hedges.answered(winner.parent.name, what)
        for each, seconds in race.late():
            beaten = self._distrusted.hedges.beaten(each.parent.name, what)
            if beaten or seconds >= each.parent.late:
                self._distrusted.was_beaten(each.parent, what)

    def _tell_hedges(self, question: _Question[T], won: Won[Candidate, T] | None) -> None:
        """What came of asking a second one: it was the first to answer, or not."""
        first = won.candidate.parent.name if won is not None else ""
        for name in question.hedged:
            self._distrusted.hedges.told(name, "won" if first not in ("", name) else "lost")

    async def _winner(self, question: _Question[T], wait: float | None) -> Won[Candidate, T] | None:
        """The first that answers; None where none does, or none within `wait` seconds."""
        told, digest = question.told, question.digest
        while (outcome := await question.race.next(wait)) is not None:
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
