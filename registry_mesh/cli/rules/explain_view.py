"""Why a reference is wanted or not, and which tests of rules come true, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from registry_mesh.cli.node.marks import marks
from registry_mesh.cli.node.screens import table
from registry_mesh.replication.explain import Reason, explain
from registry_mesh.replication.rules import Denial, Rules
from registry_mesh.replication.trial import Failed, reference

_NOT_ASKED = "not asked"


def explained(
    rules: Rules, reasons: Sequence[Reason], denial: Denial | None, more: Sequence[str]
) -> Iterator[str]:
    """The verdict first, then what each rule says to repository and tag. `more`: guards and targets."""
    yield _verdict(rules, reasons, denial)
    rows = [("RULE", "REPOSITORY", "TAG", "")]
    rows += [(each.rule, *_cells(each), "yes" if each.selected else "no") for each in reasons]
    yield from (f"  {row}" for row in table(rows))
    for each in reasons:
        yield from (f"  {each.rule}: {words}" for words in _beside(each))
    yield from (f"  {words}" for words in more)


def _beside(reason: Reason) -> Iterator[str]:
    """What has no column."""
    for name, step in zip(("repository", "tag"), reason.steps, strict=False):
        if step.aside:
            yield f"{name}: {step.aside}"
    if reason.steps:
        yield from reason.words[len(reason.steps) :]
    if reason.note:
        first, *more = filter(None, map(str.rstrip, reason.note.splitlines()))
        yield f"note: {first}"
        yield from (f"      {line}" for line in more)


def _cells(reason: Reason) -> tuple[str, str]:
    if not reason.steps:
        return reason.words[0], _NOT_ASKED
    told = [f"{'yes' if step.selected else 'no':<5}{step.by}" for step in reason.steps]
    return told[0], told[1] if len(told) > 1 else _NOT_ASKED


def _verdict(rules: Rules, reasons: Sequence[Reason], denial: Denial | None) -> str:
    if denial is not None:
        why = f": {denial.note}" if denial.note else ""
        return f"{marks()['broken']} Denied{why} ({denial.place})."
    placed = [(reason, rule.place) for reason, rule in zip(reasons, rules, strict=True)]
    taking = [f"rule {reason.rule}, {place}" for reason, place in placed if reason.selected]
    if taking:
        return f"{marks()['well']} Wanted ({'; '.join(taking)})."
    for reason, place in placed:
        for step in reason.steps:
            if step.excluded:
                return f"{marks()['broken']} Not wanted: kept out by {step.by} (rule {reason.rule}, {place})."
    return f"{marks()['broken']} Not wanted: no rule takes it."


def tested(rules: Rules, failed: Sequence[Failed]) -> Iterator[str]:
    """How many tests come true; of each that does not, what it expects and what is."""
    bad = len({each.trial.place for each in failed})
    mark = marks()["broken" if failed else "well"]
    yield f"{mark} {len(rules.trials) - bad} of {len(rules.trials)} tests pass."
    for (place, ref), ones in groupby(failed, lambda each: (each.trial.place, each.trial.ref)):
        yield f"  {place}  {ref}"
        for each in ones:
            expected, found = each.sides
            if found == "none":
                found = _not_wanted(rules, ref)
            yield f"    expected  {expected}"
            yield f"    is        {found}"


def _not_wanted(rules: Rules, ref: str) -> str:
    """Why none takes it, by the rule that goes furthest."""
    place, tag, _ = reference(ref)
    reasons = explain(rules, place.registry, place.repository, tag)
    asked = [(len(each.steps), each.words[-1], rule.place) for each, rule in zip(reasons, rules, strict=True)]
    furthest = max(asked, key=lambda each: each[0], default=None)
    return f"not wanted: {furthest[1]} ({furthest[2]})" if furthest else "not wanted: there is no rule"
