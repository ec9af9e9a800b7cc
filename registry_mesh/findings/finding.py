"""A finding: what is so, how it is known, what to do next. Page, command, alert, log line and refusal say the same."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


class State(enum.StrEnum):
    """How much a finding matters."""

    LOOK = "warn"
    """A person should look, some day soon."""
    BROKEN = "broken"
    """A job fails, or will."""


NAMES: Final = {
    "own-link-down": State.BROKEN,
    "offline": State.BROKEN,
    "grace-ending": State.BROKEN,
    "parent-slow": State.LOOK,
    "parent-down": State.LOOK,
    "parent-stale": State.LOOK,
    "parent-lies": State.LOOK,
    "parent-denied": State.BROKEN,
    "readers-missing": State.BROKEN,
    "tls-untrusted": State.BROKEN,
    "throttled": State.LOOK,
    "loop": State.LOOK,
    "clock-off": State.BROKEN,
    "pulls-fail": State.BROKEN,
    "hits-slow": State.LOOK,
    "store-fault": State.BROKEN,
    "store-full": State.BROKEN,
    "store-thrash": State.LOOK,
    "store-small": State.LOOK,
    "store-slow": State.LOOK,
    "rot": State.LOOK,
    "scrub-old": State.LOOK,
    "audit-held": State.BROKEN,
    "limits-low": State.LOOK,
    "memory-low": State.LOOK,
    "workers-die": State.BROKEN,
    "reload-failed": State.LOOK,
    "access-invalid": State.LOOK,
    "files-invalid": State.LOOK,
    "rules-invalid": State.LOOK,
    "rule-empty": State.LOOK,
    "guard-stopped": State.BROKEN,
    "replication-behind": State.LOOK,
    "behind": State.LOOK,
    "certificate-ending": State.LOOK,
    "webhook-down": State.LOOK,
    "unknown-registry": State.LOOK,
    "format-newer": State.BROKEN,
}
"""Every finding there can be. A name never changes: alerts and handbooks refer to it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is so. `since` is in seconds since the epoch; `subject` is what it is about, such as a parent."""

    name: str
    sentence: str
    subject: str = ""
    evidence: tuple[str, ...] = ()
    next: str = ""
    since: float = 0.0
    registries: tuple[str, ...] = ()
    """Those whose requests it keeps from being answered; none: it is about no registry."""
    hides: bool = False
    """Whether what exists may be unknown here for it."""

    @property
    def state(self) -> State:
        """How bad it is."""
        return NAMES[self.name]


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """What is broken before what is to be looked at; within each the oldest first."""
    return sorted(findings, key=lambda each: (each.state is not State.BROKEN, each.since, each.name))


def verdict(node: str, findings: Sequence[Finding], ready: bool = True) -> str:
    """One sentence of what is so."""
    serves = f"{node} serves" if ready else f"{node} does not serve"
    broken = sum(each.state is State.BROKEN for each in findings)
    look = len(findings) - broken
    if not findings:
        return f"{serves}. Nothing needs you."
    told = [f"{_count(broken)} {'is' if broken == 1 else 'are'} broken"] if broken else []
    if look:
        told.append(f"{_count(look)} {'is' if look == 1 else 'are'} worth a look")
    sentence = ", ".join(told)
    return f"{serves}. {sentence[0].upper()}{sentence[1:]}."


def _count(number: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return f"{words[number] if number < len(words) else number} thing{'' if number == 1 else 's'}"
