"""Who writes each tag of a plan, where rules give tags other names: several may want to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from registry_mesh.replication import sentences
from registry_mesh.replication.plan import Conflict, Plan, Step
from registry_mesh.replication.planned_bytes import PlannedBytes
from registry_mesh.replication.rules import Rule


@dataclass(frozen=True, slots=True)
class Writer:
    """The step by which a tag would be written, and the rules that say so."""

    step: Step
    rules: tuple[Rule, ...]
    fills: bool
    """Whether what is there in part gets more."""

    @property
    def rank(self) -> int:
        """The highest priority of its rules."""
        return max(rule.priority.rank for rule in self.rules)


class Writers:
    """Gathers them, by what they write."""

    def __init__(self) -> None:
        self._by: dict[str, list[Writer]] = {}

    def add(self, writer: Writer) -> None:
        """One more."""
        self._by.setdefault(writer.step.to, []).append(writer)

    def steps(self, plan: Plan, weights: PlannedBytes) -> Iterator[Step]:
        """Hands over what it gathered, one a tag that is not there: the same digest is one copy; of different ones the
        higher priority writes, of equal ones none. `plan` is told of conflicts."""
        while self._by:
            to, several = self._by.popitem()
            several.sort(key=lambda each: each.step)
            first = _first(several)
            if len({each.step.digest for each in several}) > 1:
                stopped = len({each.step.digest for each in first}) > 1
                plan.conflicts.append(_conflict(to, several, stopped))
                if stopped:
                    continue
                several = [each for each in several if each.step.digest == first[0].step.digest]
            step = several[0].step
            for other in several[1:]:
                weights.share(step, other.step)
            if step.was != step.digest or any(each.fills for each in several):
                names = tuple(sorted({name for each in several for name in each.step.rules}))
                yield step if names == step.rules else replace(step, rules=names)


def _first(several: list[Writer]) -> list[Writer]:
    best = max(each.rank for each in several)
    return [each for each in several if each.rank == best]


def _conflict(to: str, several: list[Writer], stopped: bool) -> Conflict:
    told = sorted({(rule.name, each.step.source) for each in several for rule in each.rules})
    short = to if several[0].step.do == "push" else to.partition("/")[2]
    refs = tuple(dict.fromkeys(ref for _, ref in told))
    return Conflict(to, refs, sentences.conflict(short, told), stopped)
