"""Where each process of a node sits, and how it fares: a small table in memory that all of them share."""

from __future__ import annotations

import enum
import mmap
import time
from dataclasses import dataclass
from typing import Final

_WORDS: Final = 5
_PID, _STATE, _BEAT, _SINCE, _REPLACED = range(_WORDS)

STALE_AFTER: Final = 30.0
"""A process that gave no sign of life for so many seconds is stuck."""


class State(enum.IntEnum):
    """What a process is at."""

    VACANT = 0
    STARTING = 1
    SERVING = 2
    DRAINING = 3


@dataclass(frozen=True, slots=True)
class Sitter:
    """Who sits in a seat. Times are of the monotonic clock, in seconds."""

    pid: int
    state: State
    beat: float
    since: float

    def serves(self, now: float) -> bool:
        """Whether it serves, and has been heard of within `STALE_AFTER` seconds."""
        return self.state is State.SERVING and now - self.beat < STALE_AFTER


class Seat:
    """One process's own seat: it alone writes here, the supervisor when it is gone."""

    def __init__(self, words: memoryview[int], index: int) -> None:
        self._words = words
        self.index = index

    def take(self, pid: int) -> None:
        """Sit down as `pid`: starting, from now on."""
        self._words[_PID] = pid
        self._words[_SINCE] = time.monotonic_ns()
        self.enter(State.STARTING)

    def enter(self, state: State) -> None:
        """Be in `state` from now on."""
        self._words[_STATE] = state
        self.beat()

    def beat(self) -> None:
        """Show that the process is alive."""
        self._words[_BEAT] = time.monotonic_ns()

    def replace(self) -> None:
        """Say that another takes over: the process of this seat finishes what runs, for as long as that takes."""
        self._words[_REPLACED] = 1

    def stay(self) -> None:
        """Take back `replace`."""
        self._words[_REPLACED] = 0

    @property
    def replaced(self) -> bool:
        """Whether another takes over."""
        return bool(self._words[_REPLACED])

    def leave(self) -> None:
        """Leave the seat vacant."""
        self._words[_STATE] = State.VACANT
        self._words[_PID] = 0

    @property
    def sitter(self) -> Sitter:
        """Who sits there, as last written."""
        pid, state, beat, since, _ = self._words
        return Sitter(pid, State(state), beat / 1e9, since / 1e9)


class Seats:
    """`workers` seats that serve, and the keeper's after them."""

    def __init__(self, workers: int) -> None:
        memory = memoryview(mmap.mmap(-1, (workers + 1) * _WORDS * 8)).cast("q")
        self._seats = [Seat(memory[i * _WORDS : (i + 1) * _WORDS], i) for i in range(workers + 1)]

    @property
    def workers(self) -> list[Seat]:
        """The seats of the workers."""
        return self._seats[:-1]

    @property
    def all(self) -> list[Seat]:
        """Every seat."""
        return list(self._seats)

    @property
    def keeper(self) -> Seat:
        """The seat of the keeper."""
        return self._seats[-1]

    def serving(self, now: float) -> int:
        """How many processes serve."""
        return sum(seat.sitter.serves(now) for seat in self.workers)

    def all_serve(self, now: float) -> bool:
        """Whether every worker serves, and the keeper answers."""
        return self.serving(now) == len(self.workers) and self.keeper.sitter.serves(now)

    def empty(self) -> bool:
        """Whether no worker is left."""
        return all(seat.sitter.state is State.VACANT for seat in self.workers)

    def vacant(self) -> bool:
        """Whether no process is left."""
        return all(seat.sitter.state is State.VACANT for seat in self._seats)

    def draining(self) -> bool:
        """Whether the node is on its way out: nobody serves, and somebody drains."""
        states = {seat.sitter.state for seat in self.workers}
        return State.DRAINING in states and State.SERVING not in states

    def stuck(self, now: float) -> list[Seat]:
        """Processes that were up and give no sign of life."""
        return [
            seat
            for seat in self._seats
            if seat.sitter.state is not State.VACANT and now - seat.sitter.beat >= STALE_AFTER
        ]
