"""Whether somebody may do something, for a person: the line that decides, or the nearest that does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from registry_mesh.auth.access import Action, Asked
from registry_mesh.auth.explain import explain
from registry_mesh.auth.identity import Identity
from registry_mesh.auth.policies import ALLOWS, EVERYBODY, Entry, Policies
from registry_mesh.auth.trials import Failed, Trial
from registry_mesh.cli.node.marks import marks
from registry_mesh.cli.node.screens import table

_MOST: Final = 3
"""Lines that are shown of those that are near."""

CHANGES: Final = frozenset({Action.PUSH, Action.CREATE, Action.TAG_UPDATE, Action.DELETE})
"""What only an origin does, whatever the policies of another node say."""


def decided(policies: Policies, identity: Identity, asked: Asked) -> Iterator[str]:
    """The verdict with the line that brought it about; without one, those that came near, and what to add."""
    judged = policies.judge(identity, asked)
    if judged.by is not None:
        mark, verdict = ("well", "Yes: ") if judged.allowed else ("broken", "No: ")
        does = "allow" if judged.allowed else "deny"
        subjects = ", ".join(sorted(judged.by.subjects))
        yield f"{marks()[mark]} {verdict}{_where(judged.by)} {_does(judged.by, does, asked.action)} to {subjects}."
        if judged.allowed and asked.action is Action.PUSH:
            yield from _but(policies, identity, asked)
        return
    near = _nearest(policies, identity, asked)
    yield f"{marks()['broken']} No. No line allows it{'; the nearest:' if near else '.'}"
    rows = [
        (_where(each), _does(each, "allow", asked.action), _why_not(policies, each, identity, asked))
        for each in near
    ]
    yield from (f"  {row}" for row in (table(rows) if rows else ()))
    named = f"registries: {asked.registry}, " if asked.registry in policies.private else ""
    # No policy is about those without a login alone.
    subject = EVERYBODY if identity.is_anonymous else identity.subject
    told = f"subjects: {subject}, {named}repos: {asked.repository}, allow: {_word(asked.action)}"
    yield f"  Next: a policy with {told}"


def not_here(role: str) -> Iterator[str]:
    """Of an action that nodes of this role never do."""
    yield f"{marks()['broken']} No. A {role} takes no pushes and no deletes, whatever its policies say."
    yield "  Next: ask with the configuration of the origin"


def _but(policies: Policies, identity: Identity, asked: Asked) -> Iterator[str]:
    """What of a push is denied though its bytes are taken: to set a new tag, or to move one."""
    for action, does in ((Action.CREATE, "set a new tag"), (Action.TAG_UPDATE, "move a tag")):
        judged = policies.judge(identity, Asked(action, asked.registry, asked.repository))
        if not judged.allowed:
            by = judged.by
            why = f"{_where(by)} {_does(by, 'deny', action)}" if by else "no line allows it"
            yield f"{marks()['warn']} But not to {does} ({action.value}): {why}."


def every(policies: Policies, identity: Identity, asked: Asked) -> Iterator[str]:
    """What each policy says, in the order they stand."""
    for word in explain(policies, identity, asked):
        where = f" ({word.entry.where})" if word.entry.where else ""
        yield f"  {word.entry.name}{where}: {word.says}"


def tested(trials: Sequence[Trial], failed: Sequence[Failed]) -> Iterator[str]:
    """How many tests come true; of each that does not, what it expects and what is."""
    mark = marks()["broken" if failed else "well"]
    yield f"{mark} {len(trials) - len(failed)} of {len(trials)} tests pass."
    for each in failed:
        identity, asked = each.trial.identity, each.trial.asked
        groups = (
            f" in {', '.join(f'@{group}' for group in sorted(identity.groups))}" if identity.groups else ""
        )
        place = f"{asked.registry}/{asked.repository}" if asked.registry else asked.repository
        yield f"  {each.trial.place}  {identity.subject}{groups} {asked.action.value} {place}"
        yield f"    expected  {each.expected}"
        yield f"    is        {each.came}"


def _nearest(policies: Policies, identity: Identity, asked: Asked) -> list[Entry]:
    """Those that allow the action, to the caller or of the repository; the repository's first."""
    subjects = policies.subjects(identity)
    allowing = [each for each in policies.entries if asked.action in each.allow]
    near = [each for each in allowing if each.covers(asked) or each.subjects & subjects]
    return sorted(near, key=lambda each: not each.covers(asked))[:_MOST]


def _why_not(policies: Policies, entry: Entry, identity: Identity, asked: Asked) -> str:
    subjects = policies.subjects(identity)
    if not entry.covers(asked):
        return f"does not take {asked.repository}"
    if not entry.subjects & subjects:
        groups = ", ".join(sorted(each for each in subjects if each.startswith("@"))) or "no group"
        return f"for {', '.join(sorted(entry.subjects))}; {identity.subject} is in {groups}"
    return f"does not name {asked.registry}, which is fetched with credentials of the node"


def _where(entry: Entry) -> str:
    return entry.where or entry.name


def _does(entry: Entry, does: str, action: Action) -> str:
    names = "**" if entry.repositories is None else str(entry.repositories)
    of = f" of {', '.join(sorted(entry.registries))}" if entry.registries is not None else ""
    return f"{does} {action.value} {names}{of}"


def _word(action: Action) -> str:
    """What a policy has to say under `allow:`: the word itself, or the one that gives least beside it."""
    if action.value in ALLOWS:
        return action.value
    return min((word for word in ALLOWS if action in ALLOWS[word]), key=lambda word: len(ALLOWS[word]))
