"""What a change of rules changes, a line a repository, for a person who looks at a merge request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from registry_mesh.cli.node.screens import table
from registry_mesh.replication.difference import Change
from registry_mesh.replication.plan import Plan
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.sentences import size
from registry_mesh.replication.trial import try_all

_MOST: Final = 24
"""Lines of the table."""
_HEAD: Final = ("REPOSITORY", "TAGS", "BYTES", "TO COPY", "BECAUSE")
_ORDER: Final = "+-~"


def against_lines(
    before: Rules, after: Rules, commit: str, changes: Sequence[Change], plan: Plan
) -> Iterator[str]:
    """The rules and their tests, and what changes by repository: what comes first, and of that most first."""
    failed = len({each.trial.place for each in try_all(after)})
    tests = len(after.trials)
    yield f"{_many(len(after), 'rule')}, {tests - failed} of {_many(tests, 'test')} pass; {len(before)} at {commit}."
    if not changes:
        return
    copies = _copies(plan)
    rows = [_row(list(group), before, after, copies) for group in _grouped(changes)]
    yield ""
    yield from table([_HEAD, *rows[:_MOST]], right=(1, 2, 3))
    if len(rows) > _MOST:
        yield f"and {len(rows) - _MOST:,} lines more"
    yield ""


def _grouped(changes: Sequence[Change]) -> list[list[Change]]:
    """By what happens and to which repository."""
    ordered = sorted(changes, key=_key)
    groups = [list(group) for _, group in groupby(ordered, key=_key)]
    return sorted(groups, key=lambda group: (_ORDER.index(group[0].kind), -len(group), group[0].ref))


def _key(change: Change) -> tuple[str, str]:
    return change.kind, change.ref.rpartition(":")[0]


def _copies(plan: Plan) -> Counter[str]:
    """Bytes that the plan brings, by reference."""
    found: Counter[str] = Counter()
    for step in plan.steps:
        if step.do != "delete":
            found[step.source] += step.new or 0
    return found


def _row(group: list[Change], before: Rules, after: Rules, copies: Counter[str]) -> tuple[str, ...]:
    kind, repository = _key(group[0])
    weight = sum(each.size or 0 for each in group)
    bring = sum(copies[each.ref] for each in group) if kind != "-" else 0
    (rule, because), _ = Counter((each.rule, each.because) for each in group).most_common(1)[0]
    rules = before if kind == "-" else after
    place = next((each.place for each in rules if each.name == rule.partition(", ")[0]), "")
    return (
        f"{kind} {repository}",
        f"{'' if kind == '~' else kind}{len(group):,}",
        f"{'' if kind == '~' else kind}{size(weight)}" if weight else "-",
        size(bring) if bring else "",
        f"{place} {because}".strip(),
    )


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
