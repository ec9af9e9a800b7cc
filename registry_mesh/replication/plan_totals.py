"""What a plan comes to: by rule and in all, how long it takes over a link, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.replication.budget import rate
from registry_mesh.replication.plan import Plan
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.window import is_open

_MINUTE: Final = 60
_DAYS: Final = 60
"""How far ahead an end is looked for."""


@dataclass(slots=True)
class Totals:
    """Counts, and sizes in bytes: `new` is to be brought, `size` the whole of it."""

    copy: int = 0
    move: int = 0
    push: int = 0
    delete: int = 0
    wait: int = 0
    refuse: int = 0
    new: int = 0
    size: int = 0
    freed: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """What a node's configuration grants: bytes a second, and the price of a GiB."""

    rate: float | None = None
    price: float | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How long bytes flow, and when the last is here (seconds since the epoch; None where that is not to be seen)."""

    seconds: float
    done_at: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """By rule, sorted by name, and in all."""

    rules: Mapping[str, Totals]
    all: Totals
    arrivals: Mapping[str, Arrival] = field(default_factory=dict)
    amount: float | None = None
    amounts: Mapping[str, float] = field(default_factory=dict)
    """By rule, of the bytes that count at it; none where there is no price."""


def summary(plan: Plan, rules: Rules, link: Link) -> Summary:
    """What `plan` comes to. Of a step of several rules the bytes count at the first; in all each counts once."""
    by: dict[str, Totals] = {}
    together = Totals()
    for step in plan.steps:
        names = step.rules or ("-",)
        for number, name in enumerate(names):
            _count(by.setdefault(name, Totals()), step.do, step.new or 0, step.size or 0, number == 0)
        _count(together, step.do, step.new or 0, step.size or 0, True)
    for kind, several in (("wait", plan.waiting), ("refuse", plan.refused)):
        for each in several:
            for name in each.rules or ("-",):
                _add(by.setdefault(name, Totals()), kind)
            _add(together, kind)
    arrivals = {} if link.rate is None else _arrivals(by, rules, link.rate, plan.now)
    rules_of = dict(sorted(by.items()))
    if link.price is None:
        return Summary(rules_of, together, arrivals)
    amounts = {name: _amount(each, link.price) for name, each in rules_of.items() if each.new}
    return Summary(rules_of, together, arrivals, _amount(together, link.price), amounts)


def _amount(totals: Totals, price: float) -> float:
    return totals.new / (1 << 30) * price


def _add(totals: Totals, kind: str) -> None:
    setattr(totals, kind, getattr(totals, kind) + 1)


def _count(totals: Totals, do: str, new: int, size: int, first: bool) -> None:
    _add(totals, do)
    if do == "delete":
        totals.freed += size if first else 0
    else:
        totals.size += size
        totals.new += new if first else 0


def _arrivals(
    by: Mapping[str, Totals], rules: Iterable[Rule], granted: float, now: float
) -> dict[str, Arrival]:
    """Of each rule by itself."""
    return {
        rule.name: _arrival(rule, by[rule.name].new, granted, now)
        for rule in rules
        if rule.name in by and by[rule.name].new
    }


def _arrival(rule: Rule, size: int, granted: float, now: float) -> Arrival:
    """Bytes flow while a window is open."""
    flowing = size / max(rate(rule.budget, granted), 1e-9)
    if not rule.when:
        return Arrival(flowing, now + flowing)
    left, at = flowing, now
    for _ in range(_DAYS * 24 * 60):
        if is_open(rule.when, at):
            if left <= _MINUTE:
                return Arrival(flowing, at + left)
            left -= _MINUTE
        at += _MINUTE
    return Arrival(flowing, None)
