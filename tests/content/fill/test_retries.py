"""When a broken stream is asked for again, and of whom."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.pace import PacePolicy
from registry_mesh.content.fill.retries import (
    BREAKS,
    CRUMB,
    DEADLINE,
    LEAST,
    TRIES,
    WAITED,
    Retries,
    RetryBudget,
)
from registry_mesh.ports.failures import SourceSlow, SourceUnavailable

BROKE = SourceUnavailable("broke off")


def test_streams_that_bring_nothing_end_it() -> None:
    retries = Retries(lambda: 0.5)
    pauses = [retries.after(BROKE, 0, MIB, 0.0).pause for _ in range(TRIES)]
    assert pauses[-1] is None
    assert pauses[:-1] == [0.0, 0.2, 0.4]


def test_a_byte_a_stream_is_as_good_as_none() -> None:
    retries = Retries(lambda: 0.5)
    pauses = [retries.after(BROKE, 1, MIB, 0.0).pause for _ in range(TRIES)]
    assert pauses[-1] is None and None not in pauses[:-1]
    assert retries.after(BROKE, CRUMB, MIB, 0.0).pause is not None


def test_streams_that_are_waited_for_in_vain_end_it_once_it_is_long_enough() -> None:
    """The last of them is asked for before: a source that sends a head and a byte has two, of some six seconds."""
    retries, waited = Retries(lambda: 0.5), 0.0
    while retries.after(BROKE, 1, MIB, waited, 6.0).pause is not None:
        waited += 6.0
    assert waited + 6.0 == 2 * 6.0 >= WAITED
    assert Retries(lambda: 0.5).after(BROKE, 1, MIB, 0.0, 2 * WAITED).pause is not None, (
        "another may do better"
    )


def test_what_is_slow_and_above_the_floor_is_waited_for() -> None:
    retries, came = Retries(lambda: 0.5), int(LEAST * 6) + CRUMB
    assert all(retries.after(BROKE, came, MIB, step * 6.0, 6.0).pause is not None for step in range(9))
    retries.after(BROKE, 64 * MIB, 128 * MIB, 60.0, 30.0)
    assert retries.after(BROKE, 0, MIB, 66.0, 6.0).pause is not None, "it begins anew"


def test_drops_keep_it_going_for_a_bounded_time_and_number_of_requests() -> None:
    """1 kB a connection, from a parent that is alone."""
    retries, now, asked = Retries(lambda: 0.5), 0.0, 0
    while (retry := retries.after(BROKE, 1000, MIB, now)).pause is not None:
        assert retry.doubt
        now, asked = now + retry.pause, asked + 1
    assert DEADLINE <= now < DEADLINE + 5
    assert asked <= 30


def test_streams_that_bring_chunks_go_on_at_once_for_ever() -> None:
    retries = Retries(lambda: 0.5)
    for step in range(200):
        assert retries.after(BROKE, 2 * CHUNK, 4 * CHUNK, step * 10.0).pause == 0.0


def test_pauses_are_spread() -> None:
    early, late = Retries(lambda: 0.0), Retries(lambda: 0.99)
    for each in (early, late):
        each.after(BROKE, 0, MIB, 0.0)
    low, high = (each.after(BROKE, 0, MIB, 0.0).pause for each in (early, late))
    assert low is not None and high is not None and high > 2.9 * low


def test_another_source_is_asked_first_where_one_brings_little_or_breaks_again_and_again() -> None:
    assert Retries(lambda: 0.5).after(BROKE, 200_000, 64 * MIB, 0.0).doubt
    assert Retries(lambda: 0.5).after(SourceSlow("drips"), 32 * MIB, 64 * MIB, 0.0).doubt
    retries = Retries(lambda: 0.5)
    doubts = [retries.after(BROKE, 20 * MIB, 64 * MIB, 0.0).doubt for _ in range(BREAKS)]
    assert doubts == [False] * (BREAKS - 1) + [True]


def test_a_crowd_whose_streams_broke_comes_back_bit_by_bit() -> None:
    budget = RetryBudget()
    waits = [budget.take("parent", 0.0) for _ in range(200)]
    assert waits[:50] == [0.0] * 50
    assert 14 <= waits[-1] <= 15.5, "ten a second"
    assert budget.take("another", 0.0) == 0.0
    assert budget.take("parent", 60.0) == 0.0


def test_what_is_asked_for_adds_to_the_budget() -> None:
    budget = RetryBudget()
    for _ in range(50):
        budget.take("parent", 0.0)
    for _ in range(5):
        budget.asked("parent", 0.0)
    assert budget.take("parent", 0.0) == 0.0
    assert budget.take("parent", 0.0) > 0.0


def test_a_source_is_left_for_one_that_is_far_faster() -> None:
    pace = PacePolicy()
    assert pace.outdone(1000.0, 24 * MIB, 50e6)
    assert not pace.outdone(20e6, 1 << 30, 50e6), "the order of the groups counts among equals"
    assert not pace.outdone(1e6, 256 << 10, 50e6), "it is nearly done"
    assert pace.outdone(0.0, 64 << 10, 50e6)


def test_for_one_that_nobody_knows_only_where_it_is_slow_by_any_measure() -> None:
    pace = PacePolicy()
    assert pace.outdone(50_000.0, 24 * MIB, 0.0)
    assert not pace.outdone(3e6, 24 * MIB, 0.0)


def test_one_of_a_crowd_is_not_slow_and_one_that_drips_beside_others_is() -> None:
    pace = PacePolicy()
    assert pace.counts(100_000.0, 10e6, 100) == 10e6
    assert pace.counts(100.0, 10e6, 3) == 1200.0
    assert pace.counts(5e6, 5e6, 1) == 5e6
