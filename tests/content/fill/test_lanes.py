"""How many streams a fill has to a parent that is far away."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.lanes import AGAIN, TOGETHER, LanePolicy, Lanes, LaneShares

POLICY = LanePolicy()


def counts(lanes: Lanes, rates: list[float]) -> list[int]:
    """After each measurement, a second apart."""
    told = []
    for second, rate in enumerate(rates):
        lanes.measured(rate, float(second))
        told.append(lanes.count)
    return told


def test_more_while_they_bring_more() -> None:
    assert counts(Lanes(POLICY, 1, 0.0), [1.0, 4.0, 8.0, 8.0]) == [4, 8, 8, 8]


def test_a_stream_that_is_fast_has_none_beside_it() -> None:
    assert counts(Lanes(POLICY, 1, 0.0), [POLICY.slow] * 5) == [1] * 5


def test_where_they_bring_nothing_there_is_one_as_before_and_no_new_trial_soon() -> None:
    lanes = Lanes(POLICY, 1, 0.0)
    assert counts(lanes, [8.0, 8.1, 8.0, 8.0]) == [4, 1, 1, 1]
    lanes.measured(8.0, 1.0 + AGAIN - 0.1)
    assert lanes.count == 1
    lanes.measured(8.0, 1.0 + AGAIN)
    assert lanes.count == 4


def test_where_the_link_is_full_it_stays_at_what_filled_it() -> None:
    assert counts(Lanes(POLICY, 1, 0.0), [1.0, 4.0, 4.2, 4.0]) == [4, 8, 4, 4]


def test_what_was_found_for_one_fill_is_where_the_next_begins() -> None:
    shares = LaneShares()
    assert shares.found("far", 0.0) == 1
    shares.learn("far", 8, 0.0)
    assert shares.found("far", 100.0) == 8
    assert shares.found("far", 10 * AGAIN) == 1, "links change"
    assert shares.found("other", 0.0) == 1


def test_fills_share_them() -> None:
    shares = LaneShares()
    assert shares.use("a", 8) == 8
    assert [shares.use(name, 8) for name in "bcd"][-1] == 1 + TOGETHER // 4
    for number in range(100):
        shares.use(number, 8)
    assert shares.use("a", 8) == 1
    for name in (*"bcd", *range(100)):
        shares.leave(name)
    assert shares.use("a", 8) == 8


def test_stripes_get_smaller_towards_the_end() -> None:
    assert POLICY.stripe(100_000, 8) == POLICY.longest // CHUNK
    assert POLICY.stripe(128, 8) == 8
    assert POLICY.stripe(1, 8) == POLICY.least // CHUNK
