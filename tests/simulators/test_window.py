"""A connection that loses segments is about as fast as CUBIC is."""

from __future__ import annotations

import pytest

from tests.simulators.window import FIRST, SEGMENT, Window


def _rate(window: Window, seconds: float) -> float:
    sent = 0.0
    for _ in range(round(seconds / 0.02)):
        part = window.rate * 0.02
        window.sent(round(part))
        sent += part
    return sent / seconds


@pytest.mark.parametrize("seed", range(5))
def test_over_100_ms_and_half_a_percent_it_brings_some_200_kb_a_second(seed: int) -> None:
    assert 100e3 < _rate(Window(0.1, 0.005, seed), 60) < 400e3


def test_without_losses_it_doubles_with_each_round() -> None:
    window = Window(0.1, 0.0, 1)
    for times in range(5):
        assert window.size == FIRST * 2**times
        window.sent(round(window.size * SEGMENT))


def test_a_round_that_loses_makes_way_once() -> None:
    window = Window(0.1, 1.0, 1)
    window.sent(FIRST * SEGMENT)
    assert window.size == 0.7 * FIRST
