"""What was refused or failed, from the processes that answer to the one that is asked about it."""

from __future__ import annotations

import json
import mmap
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

_SLOTS: Final = 128
_SIZE: Final = 1024
_WORD: Final = 8
MOST: Final = 1000
"""Events that are remembered."""


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


class Events:
    """The last thousand kinds: those of one side, reason and subject are one."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, str], Event] = OrderedDict()

    def add(self, side: str, reason: str, subject: str, why: str, at: float) -> None:
        """Count one."""
        key = (side, reason, subject)
        known = self._known.pop(key, None)
        self._known[key] = (
            replace(known, last=max(at, known.last), count=known.count + 1, why=why)
            if known
            else Event(side, reason, subject, why, at, at)
        )
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def merge(self, others: Iterable[Event]) -> None:
        """Know what another has known: of what both know, what was seen last and counted most."""
        for event in others:
            key = (event.side, event.reason, event.subject)
            known = self._known.get(key)
            if known is not None:
                last = max(known, event, key=lambda each: each.last)
                event = replace(
                    last, first=min(known.first, event.first), count=max(known.count, event.count)
                )
            self._known[key] = event
        newest = sorted(self._known.items(), key=lambda item: item[1].last)[-MOST:]
        self._known = OrderedDict(newest)

    def encode(self) -> bytes:
        """As a document."""
        return json.dumps([asdict(event) for event in self._known.values()]).encode()

    def newest_first(self) -> list[Event]:
        """All that are known."""
        return list(reversed(self._known.values()))


def decode(data: bytes | None) -> list[Event]:
    """The events that a document tells of; none where it cannot be read: these are there to be looked at, no more."""
    try:
        return [_event(told) for told in json.loads(data or b"[]")]
    except (ValueError, KeyError, TypeError):
        return []


def _event(told: Mapping[str, Any]) -> Event:  # Any: JSON
    side, reason, subject, why = (str(told[key]) for key in ("side", "reason", "subject", "why"))
    return Event(side, reason, subject, why, float(told["first"]), float(told["last"]), int(told["count"]))
