"""How parents take the logins of a node, or the lack of one: of each parent by each login that is shown to it.

Registries may have a parent in common and show it different logins: whether it answers is one thing (`board`), whether
it takes a login another. Kept as the board is: each process writes its own rows, and reads all.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from registry_mesh.ports.standing import Standing
from registry_mesh.upstream.health.texts import Texts

Key = tuple[str, str]
"""A parent, and what is shown to it."""

_TEXT: Final = 320
_WORD: Final = 8


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process saw. Times as in `opinion.Facts`."""

    denied_since: float = 0.0
    """Since when the login is not taken, as this process saw it first."""
    denied_at: float = 0.0
    """When it was not last."""
    let_in_at: float = 0.0
    """When it was taken last."""
    away_at: float = 0.0
    """When GET /v2/ was answered last."""
    away: float = 0.0
    """The status, where the parent may turn this node away by it, whatever it is asked for."""
    gave_at: float = 0.0
    """When it gave what it was asked for last."""
    refused_since: float = 0.0
    """Since when it refuses what it is asked for, as this process saw it first."""
    refused_at: float = 0.0
    """When it did so last."""
    error_at: float = 0.0


_NAMES: Final = {field.name: index for index, field in enumerate(fields(Taken))}
_FACTS: Final = len(_NAMES)


@dataclass(frozen=True, slots=True)
class Welcome:
    """What all that comes to."""

    denied_since: float | None = None
    """See `Standing`."""
    error: str = ""
    """Why it was not taken last; empty where it always was."""
    error_at: float = 0.0


class Welcomes:
    """Rows for `processes` and the logins of `registries`: the registries that show it, by parent and login."""

    def __init__(self, registries: Mapping[Key, Sequence[str]], processes: int = 1) -> None:
        self.registries = {key: tuple(dict.fromkeys(hosts)) for key, hosts in registries.items()}
        self._order = list(self.registries)
        self._processes = processes
        rows = max(1, len(self._order) * processes)
        self._words = memoryview(mmap.mmap(-1, rows * _FACTS * _WORD)).cast("d")
        self._texts = Texts.shared(rows, _TEXT)

    def sheet(self, parent: str, login: str) -> WelcomeSheet:
        """All rows of one. `ValueError` where it is none of them."""
        first = self._order.index((parent, login)) * self._processes
        after = first + self._processes
        return WelcomeSheet(self._words[first * _FACTS : after * _FACTS], self._texts.part(first, after))

    def card(
        self, parent: str, login: str, process: int, clock: Callable[[], float] = time.monotonic
    ) -> WelcomeCard:
        """The row of one process, to be written by it alone."""
        return WelcomeCard(self.sheet(parent, login), process, clock)

    def clear(self, process: int) -> None:
        """Forget what the process saw that had this place before."""
        for parent, login in self._order:
            self.card(parent, login, process).clear()


class WelcomeSheet:
    """The rows of one parent and login."""

    def __init__(self, words: memoryview[float], texts: Texts) -> None:
        self._words = words
        self.texts = texts
        """Why it was not taken last, as each process says."""

    def words(self, process: int) -> memoryview[float]:
        """The numbers that a process writes."""
        return self._words[process * _FACTS : (process + 1) * _FACTS]

    def last(self, fact: str) -> float:
        """The latest of such times, of any process."""
        return max(self._words[_NAMES[fact] :: _FACTS].tolist())

    def seen(self) -> list[Taken]:
        """What each process saw."""
        starts = range(0, len(self._words), _FACTS)
        return [Taken(*self._words[start : start + _FACTS].tolist()) for start in starts]

    def welcome(self) -> Welcome:
        """How the login is taken."""
        seen = self.seen()
        told = max(range(len(seen)), key=lambda process: seen[process].error_at)
        return Welcome(_denied_since(seen), self.texts.read(told), seen[told].error_at)


class WelcomeCard:
    """One process's row."""

    def __init__(self, sheet: WelcomeSheet, process: int, clock: Callable[[], float]) -> None:
        self._sheet = sheet
        self._own = sheet.words(process)
        self._process = process
        self._clock = clock

    @classmethod
    def alone(cls) -> WelcomeCard:
        """Of a process that shares what it sees with no other."""
        return Welcomes({("parent", ""): ()}).card("parent", "", 0)

    def deny(self, why: str) -> None:
        """The parent did not take the login."""
        now = self._clock()
        if self._of("denied_at") <= self._of("let_in_at"):
            self._write(denied_since=now)
        self._write(denied_at=now)
        self._tell(why)

    def let_in(self) -> None:
        """It took it."""
        self._write(let_in_at=self._clock())

    def base(self, away: int) -> None:
        """It answered GET /v2/: by this status it may turn the node away, whatever it is asked for; 0: by none."""
        self._write(away_at=self._clock(), away=float(away))

    def gave(self) -> None:
        """It gave what it was asked for."""
        self._write(gave_at=self._clock())

    def refuse(self, why: str) -> None:
        """It refused this node what it was asked for. That it gives nothing is told where `/v2/` says so too."""
        now = self._clock()
        if self._of("refused_at") <= self._sheet.last("gave_at"):
            self._write(refused_since=now)
        self._write(refused_at=now)
        if _away(self._sheet.seen()):
            self._tell(why)

    @property
    def has_given(self) -> bool:
        """Whether it gave any process anything that it was asked for."""
        return self._sheet.last("gave_at") > 0

    def welcome(self) -> Welcome:
        """How the login is taken, as all processes saw it."""
        return self._sheet.welcome()

    def clear(self) -> None:
        """Begin with an empty row."""
        nothing: dict[str, Any] = dict.fromkeys(_NAMES, 0.0)
        self._write(**nothing)
        self._sheet.texts.write(self._process, "")

    def _of(self, name: str) -> float:
        return self._own[_NAMES[name]]

    def _write(self, **facts: float) -> None:
        for name, value in facts.items():
            self._own[_NAMES[name]] = value

    def _tell(self, why: str) -> None:
        self._sheet.texts.write(self._process, why)
        self._write(error_at=self._clock())


def _away(seen: Sequence[Taken]) -> float:
    return max(seen, key=lambda facts: facts.away_at).away


def _denied_since(seen: Sequence[Taken]) -> float | None:
    taken = max(facts.let_in_at for facts in seen)
    since = [max(facts.denied_since, taken) for facts in seen if facts.denied_at > taken]
    if _away(seen):
        gave = max(facts.gave_at for facts in seen)
        since += [max(facts.refused_since, gave) for facts in seen if facts.refused_at > gave]
    return min(since, default=None)


def received(standing: Standing, welcome: Welcome) -> Standing:
    """How a parent does for a registry that shows it that login: of what went wrong, the last."""
    if welcome.error_at <= (standing.error_at or 0.0):
        return replace(standing, denied_since=welcome.denied_since)
    return replace(
        standing, denied_since=welcome.denied_since, error=welcome.error, error_at=welcome.error_at
    )
