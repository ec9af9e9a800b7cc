"""Schedules: how often a source is asked. An interval, a cron, or by hand alone."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from registry_mesh.replication.window import zone_of

_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART: Final = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
_MONTHS: Final = {month: monthrange(2024, month)[1] for month in range(1, 13)}
"""Days of each month in the longest year."""
_YEARS: Final = 9
"""Within these every date of a cron comes, 29 February around 2100 included."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Every `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Manual:
    """When a person says so."""


@dataclass(frozen=True, slots=True)
class Cron:
    """`cron M H DAY MONTH WEEKDAY ZONE`; Sunday is 0 or 7."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> Cron:
        """`ValueError` says what cannot be read."""
        words = text.split()[1:]
        zone = words.pop() if words and not _PART.match(words[-1]) else None
        if len(words) != 5:
            raise ValueError(f"{text!r} has {len(words)} fields; five: minutes first, then a zone")
        if zone is None:
            raise ValueError(f"{text!r}: of which zone? Add one such as Europe/Zurich or UTC")
        if words[2] != "*" and words[4] != "*":
            raise ValueError(f"{text!r} restricts day and weekday: write * for one of them")
        minutes, hours, days, months, weekdays = (
            _field(word, *field) for word, field in zip(words, _FIELDS, strict=True)
        )
        weekdays = frozenset(each % 7 for each in weekdays)
        if min(days) > max(map(_MONTHS.__getitem__, months)):
            raise ValueError(f"{text!r}: there is no such day in that month")
        return cls(text, minutes, hours, days, months, weekdays, zone_of(zone))

    def next(self, after: float) -> float | None:
        """The first time after `after` (seconds since the epoch). A time that does not exist in the zone is the first
        that does, one that exists twice is its first; None where no such date comes."""
        day = datetime.fromtimestamp(after, self.zone).date() - timedelta(days=1)
        for _ in range(_YEARS * 366):
            if self._has(day):
                found = [at for at in self._times(day) if at > after]
                if found:
                    return min(found)
            day += timedelta(days=1)
        return None

    def _has(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and (day.weekday() + 1) % 7 in self.weekdays

    def _times(self, day: date) -> Iterator[float]:
        for hour in self.hours:
            for minute in self.minutes:
                yield _instant(datetime(day.year, day.month, day.day, hour, minute), self.zone)


Schedule = Interval | Cron | Manual


def due(schedule: Schedule, last: float | None, now: float) -> bool:
    """Whether a source is asked at `now`, that was asked at `last` (None: never). All in seconds since the epoch."""
    match schedule:
        case Manual():
            return False
        case Interval(seconds):
            return last is None or now - last >= seconds or now < last
        case Cron():
            coming = None if last is None else schedule.next(last)
            return last is None or now < last or (coming is not None and coming <= now)


def _instant(wall: datetime, zone: ZoneInfo) -> float:
    """When the clock of `zone` first shows `wall`, or the first time after it that exists."""
    for _ in range(24 * 60):
        at = wall.replace(tzinfo=zone, fold=0).timestamp()
        if datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None, fold=0) == wall:
            return at
        wall += timedelta(minutes=1)
    return wall.replace(tzinfo=zone).timestamp()


def _field(word: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no {name}: write *, */n, a, a-b or a list")
        first, last, step = match.groups()
        begin = low if first is None else int(first)
        end = high if first is None else int(last or first)
        if not low <= begin <= end <= high or step == "0":
            raise ValueError(f"{part!r} is no {name}: {low} to {high}")
        found |= set(range(begin, end + 1, int(step or 1)))
    return frozenset(found)
