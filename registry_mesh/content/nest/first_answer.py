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

    def beside(self, name: str, what: str, digest: Digest | None) -> tuple[Parent, Candidate] | None:
        """The parent of that name, and the best candidate that may be asked beside it; None where none may."""
        candidates, _ = self._ranked(what, digest)
        first = next((each for each in candidates if each.parent.name == name), None)
        other = next((each for each in candidates if each is not first and each.parent.available), None)
        if first is None or other is None or not self._may_hurry(first, other, what, digest):
            return None
        return first.parent, other

    def _may_hurry(self, first: Candidate, other: Candidate, what: str, digest: Digest | None) -> bool:
        """Whether the other may be asked beside it before it is late: not where nobody waits, and none that is asked
        after the others for what it did lately."""
        if urgency().background or not self._hedge.allows(first.parent, other.parent):
            return False
        return not self._distrusted.is_second_best(other.parent, what, digest)

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
            late = candidate.parent.late if beside is not None else None
            soon = late
            if late is not None and beside is not None:
                hurries = self._may_hurry(candidate, beside, what, question.digest)
                soon = min(late, candidate.parent.soon) if hurries else late
            if (won := await self._in_time(question, candidate, soon, late)) is not None:
                self._note_beaten(won.candidate, race, what)
                return won
        return await self._winner(question, None)

    async def _in_time(
        self, question: _Question[T], candidate: Candidate, soon: float | None, late: float | None
    ) -> Won[Candidate, T] | None:
        """The first that answers before another is to be asked: `soon` where the budget allows it, else when it is
        `late`; None: nobody else is there to be asked."""
        won = await self._winner(question, soon)
        if won is not None or soon is None or late is None or soon >= late or not question.race.late():
            return won
        if self._distrusted.hedges.take(candidate.parent.name, question.size):
            question.hedged.append(candidate.parent.name)
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
