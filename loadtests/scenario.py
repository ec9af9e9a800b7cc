"""Scenarios: what is measured, and the bars it is held against."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loadtests.bench import Bench


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise and the figure it is held against."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        if self.value != self.value:  # nothing was measured
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(slots=True)
class Outcome:
    """A table, its bars, and remarks that a reader needs to judge them."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    mtu: int = 0
    """Of the loopback it was measured on."""

    def row(self, subject: str, **figures: Any) -> None:
        self.rows.append({"subject": subject, **figures})

    def at_most(self, what: str, value: float, limit: float) -> None:
        self.bars.append(Bar(what, value, limit))

    def at_least(self, what: str, value: float, limit: float) -> None:
        self.bars.append(Bar(what, value, limit, at_least=True))


Run = Callable[[Bench], Outcome]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that is measured. `quick`: it is part of the quick run. `crowd`: what it moves is a hundred times what
    it measures, so loopback has its own MTU, or that would be measured."""

    name: str
    run: Run
    quick: bool
    crowd: bool = False

    @property
    def about(self) -> str:
        return inspect.cleandoc(self.run.__doc__ or "")


ALL: dict[str, Scenario] = {}


def scenario(*, quick: bool = True, crowd: bool = False) -> Callable[[Run], Run]:
    """Make a function of a `Bench` a scenario, named by its module and itself."""

    def keep(run: Run) -> Run:
        place = ".".join(run.__module__.split(".")[1:])
        name = f"{place}.{run.__name__}"
        ALL[name] = Scenario(name, run, quick, crowd)
        return run

    return keep
