"""Figures of the last 24 hours outlive a restart, and count nothing twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.telemetry.last_day import HOURS, LastDay

HOUR = 3600.0
NOW = 1_800_000_000.0


def test_what_rose_is_counted_once() -> None:
    day = LastDay()
    for total in (3, 3, 10):
        day = day.noted("a", {"requests": total}, NOW)
    assert day.sums(NOW) == {"requests": 10}


def test_a_restart_forgets_nothing() -> None:
    day = LastDay().noted("a", {"requests": 10}, NOW)
    day = LastDay.decode(day.encode()).noted("b", {"requests": 4}, NOW + 60)
    assert day.sums(NOW + 60) == {"requests": 14}
    day = day.noted("c", {"requests": 20}, NOW + 120)
    assert day.sums(NOW + 120) == {"requests": 34}, "more than before, and still another life"


def test_one_that_carries_on_counts_from_where_it_stood() -> None:
    day = LastDay().noted("a", {"requests": 10}, NOW)
    behind = day.noted("a", {"requests": 7}, NOW)  # an older process, which finishes what it has
    assert behind.noted("a", {"requests": 12}, NOW).sums(NOW) == {"requests": 12}


def test_after_a_day_an_hour_is_forgotten() -> None:
    day = LastDay().noted("a", {"requests": 5}, NOW)
    later = NOW + (HOURS - 1) * HOUR
    assert day.sums(later) == {"requests": 5}
    assert day.sums(later + HOUR) == {}
    later_still = day.noted("a", {"requests": 6}, later + HOUR)
    assert list(later_still.hours.values()) == [{"requests": 1}]
    assert NOW - HOUR < day.since(later) <= NOW


def test_a_young_node_has_no_more_history_than_it_is_old() -> None:
    began = NOW + 1234.0  # within an hour
    day = LastDay().noted("a", {"requests": 5}, began)
    assert day.since(began + 8) == began
    again = LastDay.decode(day.encode()).noted("b", {"requests": 1}, began + 60)
    assert again.since(began + 60) == began, "a restart is not a beginning"
    later = began + (HOURS + 3) * HOUR
    assert again.noted("c", {"requests": 1}, later).since(later) == later, (
        "nothing is known of the day before"
    )
    assert again.noted("b", {"requests": 1}, began + 2 * HOUR).since(began + 2 * HOUR) == began


def test_figures_of_an_older_version_begin_with_their_hour() -> None:
    old = LastDay.decode(b'{"hours": {"500000": {"requests": 5}}, "life": "a", "totals": {}}')
    assert old.since(NOW) == 500_000 * HOUR == NOW


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"hours": 3, "life": "", "totals": {}}',
        b'{"hours": {"x": {}}}',
        b"\xff",
    ],
)
def test_a_document_that_cannot_be_read_is_nothing(data: bytes | None) -> None:
    assert LastDay.decode(data) == LastDay()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(0, 3 * 3600)), max_size=30))
def test_the_day_has_what_was_counted_within_it(steps: list[tuple[str, int, int]]) -> None:
    """Lives one after another; each counts from 0."""
    now, day, seen, life, total = NOW, LastDay(), list[tuple[float, int]](), "", 0
    for number, (letter, rise, later) in enumerate(steps):
        if letter == "a":
            life, total = f"{number}", 0
        now, total = now + later, total + rise
        seen.append((now, rise))
        day = LastDay.decode(day.noted(life, {"requests": total}, now).encode())
    first = now // HOUR - HOURS + 1
    assert day.sums(now).get("requests", 0) == sum(rise for at, rise in seen if at // HOUR >= first)
