"""Schedules and windows on the days on which clocks are moved, and by a clock that is wrong for a while."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from registry_mesh.replication.schedule import Cron, Interval, Schedule, due
from registry_mesh.replication.window import Window

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
LOOK = 5 * MINUTE


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%d %H:%M")


def asked(schedule: Schedule, begin: float, end: float, off: tuple[float, float] = (0.0, 0.0)) -> list[str]:
    """When a node that looks each five minutes, but in `off`, asks; it asked last at `begin`."""
    last, at, found = begin, begin, []
    while (at := at + LOOK) < end:
        if not off[0] <= at < off[1] and due(schedule, last, at):
            last = at
            found.append(shown(at))
    return found


@pytest.mark.parametrize(
    ("cron", "day", "times"),
    [
        ("30 2 * * * Europe/Zurich", "2027-03-28", ["28 01:00"]),
        ("*/20 2 * * * Europe/Zurich", "2027-03-28", ["28 01:00"]),
        ("0,30 1-3 * * * Europe/Zurich", "2027-03-28", ["28 00:00", "28 00:30", "28 01:00", "28 01:30"]),
        ("30 2 * * * Europe/Zurich", "2027-10-31", ["31 00:30"]),
        ("0 1-3 * * * Europe/Zurich", "2027-10-31", ["30 23:00", "31 00:00", "31 02:00"]),
        ("0 0 * * * America/Havana", "2027-03-14", ["14 05:00"]),
        ("15 2 * * * Australia/Lord_Howe", "2027-10-02", ["02 15:30"]),
    ],
)
def test_a_time_that_is_missing_is_the_next_and_one_that_is_doubled_is_its_first(
    cron: str, day: str, times: list[str]
) -> None:
    assert asked(Cron.parse(f"cron {cron}"), utc(day) - 2 * HOUR, utc(day) + 22 * HOUR) == times


@pytest.mark.parametrize("day", ["2027-03-28", "2027-10-31"])
def test_an_interval_is_of_seconds_on_any_day(day: str) -> None:
    assert len(asked(Interval(HOUR), utc(day), utc(day) + DAY)) == 23


def test_what_a_node_that_was_off_missed_is_made_up_for_once() -> None:
    cron, begin = Cron.parse("cron 15 3 * * * UTC"), utc("2026-11-28T04:00")
    off = (begin + HOUR, begin + 3 * DAY + 6 * HOUR)
    assert asked(cron, begin, begin + 5 * DAY, off) == ["01 10:00", "02 03:15", "03 03:15"]


@pytest.mark.parametrize("schedule", [Interval(6 * HOUR), Cron.parse("cron 15 3 * * * UTC")])
@pytest.mark.parametrize("wrong", [-30 * DAY, -2 * HOUR, 2 * HOUR, 30 * DAY])
def test_a_clock_that_was_wrong_for_a_while_stops_no_schedule(schedule: Schedule, wrong: float) -> None:
    """Set wrong for an hour while a run goes, and right again: at most one run too many each way."""
    last, at, times = utc("2026-11-28T03:15"), utc("2026-11-28T03:15"), 0
    for look in range(1, int(3 * DAY / LOOK)):
        now = at + look * LOOK + (wrong if 120 <= look < 132 else 0.0)
        if due(schedule, last, now):
            last, times = now, times + 1
    usual = len(asked(schedule, at, at + 3 * DAY))
    assert usual - 1 <= times <= usual + 2


@pytest.mark.parametrize(
    ("window", "begin", "minutes"),
    [
        ("22:00-04:00 Europe/Zurich", "2027-03-27T12:00", 300),
        ("22:00-04:00 Europe/Zurich", "2027-10-30T12:00", 420),
        ("sat 22:00-04:00 Europe/Zurich", "2027-10-30T12:00", 420),
        ("sun 00:00-24:00 Europe/Zurich", "2027-10-30T12:00", 25 * 60),
        ("sun 00:00-24:00 Europe/Zurich", "2027-03-27T12:00", 23 * 60),
        ("23:30-01:30 America/Havana", "2027-03-13T17:00", 60),
        ("00:00-00:30 America/Havana", "2027-03-13T17:00", 0),
    ],
)
def test_a_window_is_open_while_the_wall_shows_its_times(window: str, begin: str, minutes: int) -> None:
    parsed, first = Window.parse(window), utc(begin)
    hours = 36 if "sun" in window else 24
    assert sum(parsed.is_open(first + n * MINUTE) for n in range(hours * 60)) == minutes
