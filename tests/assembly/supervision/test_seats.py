import os
import time

from registry_mesh.assembly.supervision.seats import STALE_AFTER, Seats, State


def test_who_serves_is_seen_from_another_process() -> None:
    seats = Seats(2)
    if (pid := os.fork()) == 0:
        seats.workers[1].take(os.getpid())
        seats.workers[1].enter(State.SERVING)
        os._exit(0)
    os.waitpid(pid, 0)
    assert seats.workers[1].sitter.pid == pid
    assert seats.serving(time.monotonic()) == 1
    seats.workers[1].leave()
    assert seats.empty()


def test_one_that_gives_no_sign_of_life_does_not_serve_and_is_stuck() -> None:
    seats = Seats(1)
    (seat,) = seats.workers
    seat.enter(State.SERVING)
    later = time.monotonic() + STALE_AFTER + 1
    assert seats.serving(later) == 0
    assert seats.stuck(later) == [seat]
    assert seats.stuck(time.monotonic()) == []


def test_a_node_drains_when_nobody_serves_and_somebody_drains() -> None:
    seats = Seats(2)
    first, second = seats.workers
    assert not seats.draining()
    first.enter(State.DRAINING)
    second.enter(State.SERVING)
    assert not seats.draining()
    second.leave()
    assert seats.draining()
