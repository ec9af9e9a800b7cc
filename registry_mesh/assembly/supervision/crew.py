"""The processes that serve one configuration: how each is forked, told and found ended."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from registry_mesh.assembly.supervision.seats import Seat, Seats, State
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
"""Signals that the supervisor waits for; a child unblocks them."""
_PR_SET_PDEATHSIG: Final = 1
_DELAY: Final = 0.25
_DELAY_LIMIT: Final = 5.0

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78
"""Of a child: to start it again as it is would be of no use (sysexits.h EX_CONFIG)."""


@dataclass(slots=True)
class Child:
    """A seat and what is to run in it. `run` returns an exit code."""

    seat: Seat
    run: Callable[[], int]
    pid: int = 0
    started: float = 0.0
    due: float | None = 0.0
    """When to fork, on the monotonic clock; None while it runs."""
    deaths: int = 0
    """In a row, with forks that failed."""
    listens: bool = False
    """It unblocks SIGTERM itself, once it listens: told to end before that, it ends in order all the same."""

    @property
    def pause(self) -> float:
        """Seconds until its seat is taken again: none the first time, then more and more."""
        return 0.0 if self.deaths <= 1 else min(_DELAY * 2 ** (self.deaths - 2), _DELAY_LIMIT)


@dataclass(slots=True)
class Crew:
    """The processes that serve one configuration."""

    seats: Seats
    children: list[Child]
    drain: float
    """Seconds that running pulls may take at the end of the node."""
    deadline: float | None = None
    """When children that were told to end are killed; None while they serve."""

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [child.pid for child in self.children if child.pid]

    @property
    def gone(self) -> bool:
        """Whether no process is left."""
        return not self.pids

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to every process."""
        for child in self.children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)

    def end(self, deadline: float) -> None:
        """Tell all to finish, and be gone by `deadline`."""
        self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)
        self.tell(signal.SIGTERM)

    def fork_due(self, now: float) -> None:
        """Start every child whose time has come."""
        for child in self.children:
            if child.due is not None and now >= child.due:
                child.due = None
                child.started = now
                child.seat.take(0)  # before the fork: afterwards the seat is the child's to write
                supervisor = os.getpid()
                leave_to_all()
                try:
                    child.pid = os.fork()
                except OSError as fault:  # no memory, or no more processes are allowed
                    self._put_off(child, now, fault)
                    continue
                if child.pid == 0:
                    _become(child, supervisor)

    def _put_off(self, child: Child, now: float, fault: OSError) -> None:
        child.deaths += 1
        child.due = now + child.pause
        child.seat.leave()
        fields = {"seat": child.seat.index, "why": fault.strerror, "again_in": round(child.pause, 2)}
        log.error("cannot start a process", extra={FIELDS: fields})


def inherited(pids: Sequence[int]) -> Crew:
    """Processes that were forked before this program ran, told that they are replaced."""
    seats = Seats(len(pids))
    children = [
        Child(seat, lambda: EXIT_FAILED, pid=pid, due=None)
        for seat, pid in zip(seats.workers, pids, strict=True)
    ]
    return Crew(seats, children, 0.0)


def exit_code(pid: int) -> int | None:
    """The exit code of a child that has ended (negative: by that signal); None while it runs."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # one that was inherited, and had been buried
        return EXIT_OK
    return os.waitstatus_to_exitcode(status) if found else None


def leave_to_all() -> None:
    """Have the collector of a fork pass over what is here now. It writes to all that it looks at, and the fork would
    have pages of its own for what all could share."""
    gc.collect()
    gc.freeze()


def _become(child: Child, supervisor: int) -> NoReturn:
    """In the fork: run, and never return into the stack of the process `supervisor`, which may have died since."""
    code = EXIT_FAILED
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor's alone
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until the child listens to it
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # the same: the keeper says that tags may have moved
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C reaches all; the supervisor tells us
        later = {signal.SIGTERM} if child.listens else set()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, set(SIGNALS) - later)
        child.seat.take(os.getpid())
        if os.getppid() == supervisor:
            code = child.run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else EXIT_FAILED
    except BaseException:
        traceback.print_exc()
    finally:
        child.seat.enter(State.DRAINING)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
