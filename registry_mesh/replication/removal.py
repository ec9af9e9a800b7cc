"""What of the held tags is deleted, and when: gone at its source, or wanted by no rule any more.

Gone is told from unreachable before this: what could not be listed is not here. A node deletes at most a share of a
registry's tags within a day; beyond it nothing is deleted until a person approves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.sentences import when
from registry_mesh.replication.terms import Delete

ALWAYS: Final = 5
"""Tags of a registry that may go within a day, whatever the guard."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Whether a tag is deleted now; else `until` when it stays (None: for ever), and why."""

    due: bool
    because: str
    until: float | None = None


def removal(
    rules: Rules,
    wanted_by: Sequence[str],
    gone: float | None,
    unselected: float | None,
    here: float,
    held_until: float | None,
    now: float,
) -> Removal | None:
    """What becomes of a held tag that is gone since `gone`, or that no rule selects since `unselected`; None where it
    is neither. `wanted_by`: the names of the rules that wanted it last. `held_until`: what a `hold` promised, also by a
    rule that is gone. Times in seconds since the epoch."""
    if gone is None and unselected is None:
        return None
    by = [rule for rule in rules if rule.name in wanted_by]
    hold = _held(by, here, held_until, now)
    if hold is not None:
        return hold
    after = _longest(by, rules.vanished)
    reasons = ((gone, after.gone, "gone at its source"), (unselected, after.unselected, "wanted by no rule"))
    waits: list[tuple[float, str]] = []
    for since, grace, why in reasons:
        if since is not None and grace is not None:
            waits.append((since + grace, f"{why} since {when(since)}"))
    if not waits:
        why = "gone at its source" if gone is not None else "wanted by no rule"
        rest = "" if by else ", the rule that wanted it is gone"
        return Removal(False, f"{why}{rest}; nothing says that it is deleted")
    until, because = min(waits)
    return Removal(until <= now, because, None if until <= now else until)


def _held(by: Iterable[Rule], here: float, held_until: float | None, now: float) -> Removal | None:
    for rule in by:
        if rule.hold is not None and rule.hold.holds(here, now):
            return Removal(False, f"held by rule {rule.name}")
    if held_until is not None and now < held_until:
        until = None if math.isinf(held_until) else held_until
        return Removal(False, "held by a rule that is gone", until)
    return None


def _longest(by: Sequence[Rule], vanished: Delete) -> Delete:
    """Of several rules each grace is the longest; never is the longest of all."""
    if not by:
        return vanished
    gones, unselecteds = [r.delete.gone for r in by], [r.delete.unselected for r in by]
    return Delete(_max(gones), _max(unselecteds))


def _max(graces: Sequence[float | None]) -> float | None:
    told = [each for each in graces if each is not None]
    return max(told) if len(told) == len(graces) else None


@dataclass(frozen=True, slots=True)
class Guarded:
    """How many tags of a registry would go, of how many, and whether that is stopped."""

    registry: str
    tags: int
    deletes: int
    guard: float

    @property
    def share(self) -> float:
        """Of the registry's tags."""
        return self.deletes / max(self.tags, 1)

    @property
    def stopped(self) -> bool:
        """Whether a person must approve."""
        return self.deletes > ALWAYS and self.share > self.guard


def guarded(
    tags: Mapping[str, int], deletes: Mapping[str, int], lately: Mapping[str, int], guard: float
) -> tuple[Guarded, ...]:
    """One for each registry of which something would go; `lately` went within the last 24 hours."""
    return tuple(
        Guarded(each, tags.get(each, 0) + lately.get(each, 0), count + lately.get(each, 0), guard)
        for each, count in sorted(deletes.items())
        if count
    )
