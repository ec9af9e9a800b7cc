"""What the processes of a node see of its parents, in memory that all of them share.

Made before the first fork: a row for each process and parent. A process writes its own rows, word by word, without a
lock, and reads all; one that is killed leaves nothing that another would wait for. The process that takes over its
place begins with an empty row.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from registry_mesh.ports.standing import Quota, Standing
from registry_mesh.upstream.health.opinion import (
    SLOW_LASTS,
    Facts,
    Opinion,
    opinion,
    quota,
    standing,
)
from registry_mesh.upstream.health.texts import Texts
from registry_mesh.upstream.health.welcome import Key, Welcomes

_NAMES: Final = {field.name: index for index, field in enumerate(fields(Facts))}
_FACTS: Final = len(_NAMES)
_HEARD: Final = _FACTS
_CLIENTS: Final = _FACTS + 1
_CUT_AT: Final = _FACTS + 2
_WORDS: Final = 48
_LINEAGE: Final = 704
_MOST_ABOVE: Final = 40
"""Nodes above that are told of: as many as there is room for."""
_TEXT: Final = 320
_CUT: Final = 704
_WORD: Final = 8

TOLD_AGAIN: Final = 1.0
"""Seconds after which a parent that said it is cut off, and answers, is asked whether it still is."""


class Board:
    """Rows for `processes` and the parents of these `names`."""

    def __init__(
        self,
        names: Iterable[str],
        processes: int = 1,
        node: str = "",
        beside: Iterable[str] = (),
        logins: Mapping[Key, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """`node`: what the node is called by those that look for loops; empty where it hands no request on. `beside`:
        nodes that are asked as parents are, and stand beside it, not above. `logins`: see `Welcomes`."""
        self.node = node
        self._parents = tuple(dict.fromkeys(names))
        self.names = tuple(dict.fromkeys([*self._parents, *beside]))
        rows = max(1, len(self.names) * processes)
        self._words = memoryview(mmap.mmap(-1, rows * _WORDS * _WORD)).cast("d")
        self._versions = memoryview(mmap.mmap(-1, rows * _WORD)).cast("Q")
        self._texts = Texts.shared(rows, _TEXT)
        self._lineages = Texts.shared(rows, _LINEAGE)
        self._cuts = Texts.shared(rows, _CUT)
        self._processes = processes
        self.welcomes = Welcomes(logins, processes)

    def sheet(self, name: str) -> Sheet:
        """All rows of one parent. `ValueError` for a name that is none of them."""
        first = self.names.index(name) * self._processes
        after = first + self._processes
        return Sheet(
            self._words[first * _WORDS : after * _WORDS],
            self._versions[first:after],
            self._texts.part(first, after),
            self._lineages.part(first, after),
            self._cuts.part(first, after),
        )

    def card(self, name: str, process: int, clock: Callable[[], float] = time.monotonic) -> Card:
        """The row of one process, to be written by it alone."""
        return Card(self.sheet(name), process, clock, self.node)

    def above(self) -> list[str]:
        """The nodes above: its parents, and those that they name. None where it hands no request on."""
        if not self.node:
            return []
        lines = [self.sheet(name).lineage() for name in self._parents]
        return list(dict.fromkeys(node for line in lines for node in line))[:_MOST_ABOVE]

    def clear(self, process: int) -> None:
        """Forget what the process saw that had this place before."""
        for name in self.names:
            self.card(name, process).clear()
        self.welcomes.clear(process)


class Sheet:
    """One parent's rows."""

    def __init__(
        self,
        words: memoryview[float],
        versions: memoryview[int],
        texts: Texts,
        lineages: Texts,
        cuts: Texts,
    ) -> None:
        self._words = words
        self.versions = versions
        self.texts = texts
        """What went wrong last, as each process says."""
        self.lineages = lineages
        """The parent and the nodes above it, as each process was told."""
        self.cuts = cuts
        """What of it is cut off, as each process was told (`ports.cut_off`)."""

    def words(self, process: int) -> memoryview[float]:
        """The numbers that a process writes."""
        return self._words[process * _WORDS : (process + 1) * _WORDS]

    def lineage(self) -> list[str]:
        """The parent and the nodes above it, as it named them last."""
        seen = self.seen()
        last = max(range(len(seen)), key=lambda process: seen[process].named_at)
        return self.lineages.read(last).split()

    def cut_off(self) -> str:
        """What the parent said last of itself that is cut off (`ports.cut_off`)."""
        told = self._words[_CUT_AT::_WORDS].tolist()
        last = max(range(len(told)), key=told.__getitem__)
        return self.cuts.read(last)

    def told_at(self) -> float:
        """When it said last what of it is cut off, or that nothing is."""
        return max(self._words[_CUT_AT::_WORDS].tolist())

    def seen(self) -> list[Facts]:
        """What each process saw."""
        starts = range(0, len(self._words), _WORDS)
        return [Facts(*self._words[start : start + _FACTS].tolist()) for start in starts]

    def heard(self) -> float:
        """When bytes of a body came last, to any."""
        return max(self._words[_HEARD::_WORDS].tolist())

    def last(self, fact: str) -> float:
        """The latest of such times, of any process."""
        return max(self._words[_NAMES[fact] :: _WORDS].tolist())

    def clients_at(self) -> float:
        """When a client's request began last, or bytes came for one, at any."""
        return max(self._words[_CLIENTS::_WORDS].tolist())

    def error(self, known: Opinion) -> str:
        """What went wrong last."""
        return self.texts.read(known.reporter) if known.reporter is not None else ""

    def standing(self, now: float) -> Standing:
        """How the parent does."""
        seen = self.seen()
        return standing(seen, self.heard(), self.error(opinion(seen)), now)


class Card:
    """One process's row, and what all rows of that parent come to."""

    def __init__(self, sheet: Sheet, process: int, clock: Callable[[], float], node: str = "") -> None:
        self.node = node
        self._sheet = sheet
        self._own = sheet.words(process)
        self._process = process
        self._version = -1
        self._versions = b""
        self._opinion = opinion([Facts()])
        self.clock = clock

    @classmethod
    def alone(cls, clock: Callable[[], float] = time.monotonic) -> Card:
        """Of a process that shares its opinion with no other."""
        return Board(["parent"]).card("parent", 0, clock)

    def known(self) -> Opinion:
        """The node's opinion. It is made anew only where something was written since."""
        versions = bytes(self._sheet.versions)
        if versions != self._versions:
            self._opinion = opinion(self._sheet.seen())
            self._versions = versions
        return self._opinion

    def own(self, name: str) -> float:
        """A fact that this process wrote."""
        return self._own[_NAMES[name]]

    def write(self, **facts: float) -> None:
        """Set facts of this process, in the order given."""
        for name, value in facts.items():
            self._own[_NAMES[name]] = value
        self._sheet.versions[self._process] += 1

    def tell(self, error: str) -> None:
        """Write down what went wrong."""
        self._sheet.texts.write(self._process, error)
        self.write(error_at=self.clock())

    @property
    def error(self) -> str:
        """What went wrong last, as any process saw it."""
        return self._sheet.error(self.known())

    def name(self, lineage: Sequence[str]) -> None:
        """The parent named itself, and then the nodes above it."""
        self._sheet.lineages.write(self._process, " ".join(lineage[: _MOST_ABOVE + 1]))
        self.write(leads_back=float(bool(self.node) and self.node in lineage), named_at=self.clock())

    def cut_off(self, told: str) -> None:
        """The parent told what of it is cut off; empty: nothing is."""
        self._sheet.cuts.write(self._process, told)
        self._own[_CUT_AT] = self.clock()

    @property
    def may_be_back(self) -> bool:
        """Whether the parent told, not just now, that something of it is cut off."""
        return bool(self._sheet.cut_off()) and self.clock() - self._sheet.told_at() >= TOLD_AGAIN

    def hear(self) -> None:
        """Bytes of a body came."""
        self._own[_HEARD] = self.clock()

    def pace(self, rate: float, pause: float) -> None:
        """Bodies bring so many bytes a second. `pause`: seconds for which it is asked after the others for that."""
        now = self.clock()
        self._own[_NAMES["pace"]], self._own[_NAMES["paced_at"]] = rate, now
        if pause > 0:
            before = self.own("slow_until")
            if not before or before < now - SLOW_LASTS:
                self._own[_NAMES["slow_since"]] = now
            self._own[_NAMES["slow_until"]] = now + pause

    def outran(self, what: str, seconds: float) -> None:
        """Another does better where both are asked for `what`: have it asked last for so long."""
        field = _NAMES[f"late_{what}"]
        self._own[field] = max(self._own[field], self.clock() + seconds)

    def outrun(self, what: str) -> bool:
        """Whether any process has it asked after the others for `what`, for being late or slow."""
        until = self._sheet.last(f"late_{what}")
        return max(until, self._sheet.last("slow_until") if what == "blobs" else 0.0) > self.clock()

    def base(self, status: int) -> None:
        """It answered GET /v2/: as a registry may (0), or with this status, as none does."""
        self._own[_NAMES["base_at"]], self._own[_NAMES["base"]] = self.clock(), float(status)

    @property
    def heard_at(self) -> float:
        """When bytes of a body came last, to this process."""
        return self._own[_HEARD]

    def serve(self) -> None:
        """A client waits for what the parent sends."""
        self._own[_CLIENTS] = self.clock()

    @property
    def clients_at(self) -> float:
        """When a client waited for it last, in any process."""
        return self._sheet.clients_at()

    def quota(self) -> Quota | None:
        """What is left of the parent's, as any process was told."""
        return quota(self._sheet.seen(), self.clock())

    def standing(self) -> Standing:
        """How the parent does, now."""
        return self._sheet.standing(self.clock())

    def clear(self) -> None:
        """Begin with an empty row."""
        nothing: dict[str, Any] = dict.fromkeys(_NAMES, 0.0)
        self.write(**nothing)
        self._own[_HEARD] = self._own[_CLIENTS] = self._own[_CUT_AT] = 0.0
        for texts in (self._sheet.texts, self._sheet.lineages, self._sheet.cuts):
            texts.write(self._process, "")
