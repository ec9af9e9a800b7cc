"""Windows: when bytes may flow, by the clock on the wall of a zone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW: Final = re.compile(r"(?:([a-z,-]+) )?(\d\d):(\d\d)-(\d\d):(\d\d)(?: (\S+))?")
_DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """`[DAYS ]HH:MM-HH:MM ZONE`. Minutes of a day; where `end` is not after `begin` it is a time of the next day."""

    text: str
    begin: int
    end: int
    zone: ZoneInfo
    days: frozenset[int] = frozenset(range(7))
    """On which it begins; 0 is Monday."""

    @classmethod
    def parse(cls, text: str) -> Window:
        """`ValueError` says what cannot be read; a zone is never guessed."""
        found = _WINDOW.fullmatch(text.strip())
        if found is None:
            raise ValueError(f'{text!r} is no window, such as "mon-fri 20:00-06:00 Europe/Zurich"')
        days, hour, minute, end_hour, end_minute, zone = found.groups()
        if zone is None:
            raise ValueError(f"{text!r}: of which zone? Add one such as Europe/Zurich or UTC")
        begin, end = int(hour) * 60 + int(minute), int(end_hour) * 60 + int(end_minute)
        if max(int(minute), int(end_minute)) > 59 or begin >= _DAY or end > _DAY:
            raise ValueError(f"{text!r}: a day has 00:00 to 24:00")
        if begin == end:
            raise ValueError(f"{text!r} begins when it ends: write 00:00-24:00 for a whole day")
        return cls(text, begin, end, zone_of(zone), _days(days) if days else frozenset(range(7)))

    def is_open(self, now: float) -> bool:
        """Whether `now` (seconds since the epoch), seen on the wall of the zone, lies inside."""
        there = datetime.fromtimestamp(now, self.zone)
        minute, day = there.hour * 60 + there.minute, there.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or (
            (day - 1) % 7 in self.days and minute < self.end
        )


def is_open(windows: Iterable[Window], now: float) -> bool:
    """Whether one of them is; without any it is always open."""
    windows = tuple(windows)
    return not windows or any(each.is_open(now) for each in windows)


def zone_of(name: str) -> ZoneInfo:
    """An IANA zone; `ValueError` where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name} is no zone; they are named like Europe/Zurich or UTC") from None


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        for each in (first, last) if dash else (first,):
            if each not in DAYS:
                raise ValueError(f"{each!r} is no day; days are {' '.join(DAYS)}, mon-fri, or sat,sun")
        begin = DAYS.index(first)
        length = (DAYS.index(last) - begin) % 7 if dash else 0
        found |= {(begin + i) % 7 for i in range(length + 1)}
    return frozenset(found)
