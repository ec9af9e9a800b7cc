"""What several processes see of one parent, and what that comes to."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.content.fill.lanes import LanePolicy
from registry_mesh.ports.standing import State
from registry_mesh.upstream.health.board import Board, Card
from registry_mesh.upstream.health.breaker import FIRST, LONGEST, Breaker, least, peak
from registry_mesh.upstream.health.parent import SOON
from registry_mesh.upstream.health.throttles import Throttles

URL = "http://p:5000"


class Node:
    """Three processes of one node, with a clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0
        self.board = Board(["other", "p"], 3)
        self.cards = [self.board.card("p", process, lambda: self.now) for process in range(3)]
        self.breakers = [Breaker(card=card) for card in self.cards]

    def seen(self) -> list[bool]:
        return [breaker.open for breaker in self.breakers]


def test_what_one_process_learns_all_know() -> None:
    node = Node()
    node.breakers[0].succeeded(0.2)
    assert [breaker.latency for breaker in node.breakers] == [0.2] * 3
    node.now += 5
    node.breakers[1].failed("refuses connections", hard=True)
    assert node.seen() == [True] * 3
    node.now += 2
    assert {breaker.told for breaker in node.breakers} == {
        "down for 2 s (refuses connections), is tried again now"
    }
    node.breakers[2].succeeded(0.2)
    assert node.seen() == [False] * 3
    assert node.board.sheet("other").standing(node.now).state is State.UNASKED


def test_one_that_was_beaten_is_so_for_all_as_long_as_was_said() -> None:
    node = Node()
    node.cards[0].outran("tags", 30)
    assert [card.outrun("tags") for card in node.cards] == [True] * 3
    assert not any(card.outrun("blobs") for card in node.cards)
    node.now += 31
    assert not any(card.outrun("tags") for card in node.cards)
    node.cards[2].pace(1000.0, 60)
    assert [card.outrun("blobs") for card in node.cards] == [True] * 3, "it was left for being slow"
    assert not node.cards[0].outrun("sizes")
    node.now += 61
    assert not any(card.outrun("blobs") for card in node.cards)


def test_who_is_left_for_long_is_not_taken_back_for_being_late() -> None:
    node = Node()
    node.cards[0].outran("blobs", 600)
    node.cards[0].outran("blobs", 30)
    node.now += 31
    assert node.cards[1].outrun("blobs")


def test_a_peak_rises_fast_and_falls_slowly_and_is_the_node_s() -> None:
    node = Node()
    node.breakers[0].succeeded(0.2)
    assert node.breakers[1].peak == 0.1, "half of it went by for the connection"
    node.now += 1
    node.breakers[1].succeeded(0.3)
    assert node.breakers[2].peak == pytest.approx(0.2)
    for _ in range(100):
        node.now += 1
        node.breakers[2].succeeded(0.01)
    assert node.breakers[0].peak == pytest.approx(0.01, rel=0.01)


def test_the_least_falls_at_once_and_rises_slowly_and_is_the_node_s() -> None:
    node = Node()
    node.breakers[0].succeeded(0.2)
    assert node.breakers[1].least == 0.2
    node.now += 1
    node.breakers[1].succeeded(0.002)
    assert node.breakers[2].least == 0.002
    node.now += 1
    node.breakers[2].succeeded(0.102)
    assert node.breakers[0].least == pytest.approx(0.0025)
    assert node.breakers[0].latency == pytest.approx(0.8 * (0.8 * 0.2 + 0.2 * 0.002) + 0.2 * 0.102)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_busy_parent_is_as_near_and_a_far_one_as_far_as_ever(seed: int) -> None:
    """What a request waits for, at a busy machine, comes to what the way takes: 1 ms, and 35 ms."""
    draws, far = random.Random(seed), LanePolicy().far
    for way, is_far in ((0.001, False), (0.035, True)):
        now = way
        for _ in range(2000):
            now = least(now, way + draws.expovariate(1 / 0.05))
            assert (now >= far) == is_far


@pytest.mark.parametrize(("seed", "share"), [(1, 0.1), (2, 0.1)])
def test_few_answers_take_longer_than_is_waited_for(seed: int, share: float) -> None:
    """As many as a budget may well be asked for, whatever the latencies of a parent are like."""
    draws = random.Random(seed)
    for draw in (lambda: draws.expovariate(100), lambda: 0.01 * draws.lognormvariate(0, 0.5)):
        now, late = draw(), 0
        for _ in range(5000):
            seconds = draw()
            late += seconds > SOON * now
            now = peak(now, seconds)
        assert 0.01 < late / 5000 < share


def test_one_process_takes_the_turn_to_try() -> None:
    node = Node()
    node.breakers[0].failed("timed out", hard=True)
    node.now += FIRST
    assert [breaker.take_turn() for breaker in node.breakers] == [True, False, False]
    node.now += 2 * FIRST
    assert [breaker.take_turn() for breaker in reversed(node.breakers)] == [True, False, False]
    for _ in range(10):
        node.now += LONGEST
        assert node.breakers[1].take_turn()
    assert node.breakers[0].pause == LONGEST
    node.breakers[0].succeeded(0.1)
    node.breakers[2].failed("timed out", hard=True)
    assert node.breakers[1].pause == FIRST, "who was well begins anew"


def test_server_errors_are_counted_together() -> None:
    node = Node()
    node.breakers[0].succeeded(0.1)
    for breaker in node.breakers[:2]:
        node.now += 1
        breaker.failed("answered 500", hard=False)
    assert node.seen() == [False] * 3
    node.now += 1
    node.breakers[2].failed("answered 500", hard=False)
    assert node.seen() == [True] * 3


def test_patience_that_one_was_asked_for_holds_for_all() -> None:
    node = Node()
    throttles = [Throttles(URL, card) for card in node.cards]
    throttles[1].note(f"{URL}/v2/a/manifests/1", 429, 60.0)
    node.now += 10
    assert [each.left(f"{URL}/v2/b/blobs/2") for each in throttles] == [(429, 50.0)] * 3
    standing = node.cards[0].standing()
    assert (standing.state, standing.since, standing.again) == (State.THROTTLED, 100.0, 160.0)
    node.now += 50
    assert throttles[2].left(URL) is None
    assert node.cards[2].standing().state is State.UNASKED


def test_the_standing_says_all_that_is_known() -> None:
    node = Node()
    assert node.cards[0].standing().since is None
    node.breakers[0].succeeded(0.2)
    node.now += 10
    node.breakers[1].succeeded(0.2)
    standing = node.cards[2].standing()
    assert (standing.state, standing.since, standing.why, standing.error) == (State.UP, 100.0, "", "")
    node.breakers[1].failed("its TLS certificate has expired", hard=True)
    node.now += 0.5
    node.breakers[0].failed("timed out", hard=True)
    standing = node.cards[2].standing()
    assert (standing.state, standing.since, standing.why) == (State.DOWN, 110.0, "timed out")
    assert (standing.again, standing.error_at) == (111.5, 110.5)
    node.now += 5
    node.breakers[2].succeeded(0.2)
    standing = node.cards[0].standing()
    assert (standing.state, standing.since, standing.error) == (State.UP, 115.5, "timed out")


def test_a_parent_that_was_left_for_being_slow_and_its_rate() -> None:
    node = Node()
    assert node.cards[0].standing().rate is None
    node.cards[0].pace(5e6, 0.0)
    assert (node.cards[1].standing().rate, node.cards[1].standing().slow_since) == (5e6, None)
    node.cards[1].pace(1000.0, 60.0)
    node.now += 50
    node.cards[1].pace(900.0, 120.0)
    standing = node.cards[2].standing()
    assert (standing.rate, standing.slow_since, standing.slow_until) == (900.0, 100.0, 270.0)
    node.now += 121
    assert node.cards[2].standing().slow_since is None
    node.now += 3600
    assert node.cards[2].standing().rate is None, "that is long ago"


def test_a_ping_that_is_out_for_long_is_silence_until_something_comes() -> None:
    node = Node()
    node.breakers[0].succeeded(0.1)
    node.now += 10
    node.cards[0].write(ping_limit=0.4, ping_at=node.now)
    node.now += 0.3
    assert node.cards[1].standing().state is State.UP
    node.now += 0.2
    standing = node.cards[1].standing()
    assert (standing.state, standing.since) == (State.SILENT, 110.0)
    node.cards[2].hear()
    assert node.cards[1].standing().state is State.UP, "bytes of a body came"
    node.now += 60
    assert node.cards[1].standing().state is State.UP, "its process is dead"


def test_who_takes_over_a_place_begins_with_an_empty_row() -> None:
    node = Node()
    node.breakers[1].failed("x" * 10_000 + "é", hard=True)
    assert node.seen() == [True] * 3
    node.board.clear(1)
    assert node.seen() == [False] * 3
    assert node.cards[0].standing().error == ""


def test_an_error_is_an_answer_and_silence_is_none() -> None:
    node = Node()
    assert not node.breakers[0].lost, "nobody has asked yet"
    node.breakers[0].failed("timed out", hard=True)
    assert node.breakers[1].lost
    node.now += 1
    node.breakers[2].failed("answered 502", hard=False)
    assert not node.breakers[1].lost and node.breakers[1].open
    node.now += 1
    node.breakers[2].failed("timed out", hard=True)
    assert node.breakers[1].lost
    node.now += 1
    node.breakers[1].succeeded(0.1)
    assert not node.breakers[2].lost


def test_processes_share_it() -> None:
    board = Board(["p"], 2)
    ours = Breaker(card=board.card("p", 0))
    pid = os.fork()
    if not pid:
        Breaker(card=board.card("p", 1)).failed("refuses connections", hard=True)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert ours.open and ours.reason == "refuses connections"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["well", "hard", "soft", "turn"]), st.floats(0.01, 40))
    )
)
def test_who_saw_something_last_is_right(story: list[tuple[int, str, float]]) -> None:
    """As one process that saw it all would have it."""
    node, alone = Node(), Breaker(card=Card.alone(lambda: node.now))
    for process, what, later in story:
        node.now += later
        for breaker in (node.breakers[process], alone):
            if what == "well":
                breaker.succeeded(later)
            elif what == "turn":
                breaker.take_turn()
            else:
                breaker.failed(what, hard=what == "hard")
        told = [breaker.told for breaker in node.breakers]
        assert told == [alone.told] * 3
