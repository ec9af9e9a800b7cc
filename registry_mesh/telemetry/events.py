"""What was refused or failed, from the processes that answer to the one that is asked about it."""

from __future__ import annotations

import json
import mmap
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_SLOTS: Final = 128
_SIZE: Final = 1024
_WORD: Final = 8
MOST: Final = 1000
"""Events that are remembered."""

_LIVES: Final = 8
"""Processes whose counts of an event are told apart: more of one node never run at once."""


class EventRing:
    """Each of `rows` processes writes its own row, without a lock; what is not read in time is written over."""

    def __init__(self, rows: int) -> None:
        self._memory = memoryview(mmap.mmap(-1, rows * _SLOTS * _SIZE))
        self._counts = memoryview(mmap.mmap(-1, rows * _WORD)).cast("Q")
        self._seen = [0] * rows

    def write(self, row: int, told: Mapping[str, object]) -> None:
        """Add an event. What does not fit is left out."""
        data = json.dumps(told).encode()
        if len(data) >= _SIZE:
            return
        start = (row * _SLOTS + self._counts[row] % _SLOTS) * _SIZE
        self._memory[start : start + len(data) + 1] = data + b"\0"
        self._counts[row] += 1

    def new(self) -> Iterator[dict[str, object]]:
        """What was written since the last time this was asked, but for what was written over meanwhile."""
        for row, count in enumerate(self._counts.tolist()):
            for number in range(max(self._seen[row], count - _SLOTS), count):
                start = (row * _SLOTS + number % _SLOTS) * _SIZE
                try:
                    told = json.loads(bytes(self._memory[start : start + _SIZE]).partition(b"\0")[0])
                except ValueError:
                    continue  # it is being written over
                if isinstance(told, dict):
                    yield told
            self._seen[row] = count


@dataclass(frozen=True, slots=True)
class Event:
    """Refusals or failures of one kind: `count` of them between `first` and `last`, in seconds since the epoch."""

    side: str
    reason: str
    subject: str
    why: str
    first: float
    last: float
    count: int = 1


Lives = Mapping[str, int]
"""How often each of several processes counted a thing; "" for those of long ago."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An event, and who counted it: what is merged a second time counts once."""

    event: Event
    lives: Lives = field(default_factory=dict)


class Events:
    """The last thousand kinds: those of one side, reason and subject are one. Each instance counts for itself; what
    others counted is added by `merge`."""

    def __init__(self) -> None:
        self._life = secrets.token_hex(4)
        self._known: OrderedDict[tuple[str, str, str], Kept] = OrderedDict()

    def add(self, side: str, reason: str, subject: str, why: str, at: float) -> None:
        """Count one."""
        key = (side, reason, subject)
        one = Event(side, reason, subject, why, at, at)
        known = self._known.pop(key, None)
        lives = dict(known.lives) if known is not None else {}
        lives[self._life] = lives.get(self._life, 0) + 1
        self._known[key] = _joined(known.event if known is not None else one, one, lives)
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def merge(self, others: Iterable[Kept]) -> None:
        """Know what another has known, which may have counted some of it that is known here."""
        for kept in others:
            event = kept.event
            key = (event.side, event.reason, event.subject)
            known = self._known.get(key)
            if known is not None:
                lives = {**kept.lives, **known.lives}
                most = {life: max(kept.lives.get(life, 0), known.lives.get(life, 0)) for life in lives}
                kept = _joined(known.event, event, most)
            self._known[key] = kept
        newest = sorted(self._known.items(), key=lambda item: item[1].event.last)[-MOST:]
        self._known = OrderedDict(newest)

    def encode(self) -> bytes:
        """As a document."""
        told = [asdict(kept.event) | {"lives": dict(kept.lives)} for kept in self._known.values()]
        return json.dumps(told).encode()

    def newest_first(self) -> list[Event]:
        """All that are known."""
        return [kept.event for kept in reversed(self._known.values())]


def _joined(one: Event, other: Event, lives: dict[str, int]) -> Kept:
    """Both as one, which `lives` counted. The oldest lives become one; theirs are over."""
    old = [life for life in lives if life][:-_LIVES]
    if old:
        lives = {"": sum(lives.pop(life) for life in old) + lives.pop("", 0)} | lives
    last = max(other, one, key=lambda each: each.last)
    return Kept(
        Event(
            last.side,
            last.reason,
            last.subject,
            last.why,
            min(one.first, other.first),
            last.last,
            sum(lives.values()),
        ),
        lives,
    )


def decode(data: bytes | None) -> list[Kept]:
    """The events that a document tells of; none where it cannot be read: these are there to be looked at, no more."""
    try:
        return [_kept(told) for told in json.loads(data or b"[]")]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return []


def _kept(told: Mapping[str, Any]) -> Kept:  # Any: JSON
    side, reason, subject, why = (str(told[key]) for key in ("side", "reason", "subject", "why"))
    count = int(told["count"])
    event = Event(side, reason, subject, why, float(told["first"]), float(told["last"]), count)
    lives = told.get("lives", {"": count})  # versions before did not say who counted
    return Kept(event, {str(life): int(times) for life, times in lives.items()})
