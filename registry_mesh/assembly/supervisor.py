"""Keeps a node's processes running: forks them, starts a dead one again, and lets all go at the end.

It runs no event loop and no thread, and touches no data: there is little in it that could fail. Signals:

    TERM, INT   once: children stop accepting and finish what runs, at most `drain` seconds; twice: now
    HUP         children read their configuration again
    CHLD        a child has died: its seat is taken again, at once the first time, later and later after that
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from registry_mesh.assembly import systemd
from registry_mesh.assembly.seats import Seat, Seats, State
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_LIVED: Final = 30.0
"""A child that lived for so many seconds was well: its successor need not wait."""
_DELAY: Final = 0.25
_DELAY_LIMIT: Final = 5.0
_TRIES: Final = 3
"""A child that dies so often before the node has ever served ends the node."""
_MARGIN: Final = 5.0
"""Seconds after the drain before a child that has not ended is killed."""
_PR_SET_PDEATHSIG: Final = 1

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
    """In a row."""


class Supervisor:
    """`children` of one node, until a signal ends them."""

    def __init__(
        self,
        seats: Seats,
        children: Sequence[Child],
        *,
        drain: float,
        reload: Callable[[], bool] = lambda: True,
        stopping: Callable[[], None] = lambda: None,
        restarted: Callable[[], None] = lambda: None,
        serving: Callable[[], None] = lambda: None,
    ) -> None:
        """`reload` checks a new configuration before children are told; `stopping` is called once, at the first
        TERM; `restarted` for each child that died; `serving` once, when all serve."""
        self._seats = seats
        self._children = list(children)
        self._drain = drain
        self._reload = reload
        self._stopping = stopping
        self._restarted = restarted
        self._serving = serving
        self._deadline: float | None = None  # when children that drain are killed; None while serving
        self._ready = False
        self._failed = EXIT_OK

    def run(self) -> int:
        """Until all children are gone. An exit code: 0 after an orderly end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        interval = min(systemd.watchdog_interval() or 1.0, 0.2)
        with contextlib.ExitStack() as restore:
            restore.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, _SIGNALS)
            while True:
                now = time.monotonic()
                if self._deadline is None:
                    self._fork_due(now)
                elif not self._running():
                    return self._failed
                elif now >= self._deadline:
                    self._tell(signal.SIGKILL)
                self._report(now)
                if (received := signal.sigtimedwait(_SIGNALS, interval)) is not None:
                    self._handle(received.si_signo)

    # What happens

    def _handle(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and self._deadline is None and self._reload():
            self._tell(signal.SIGHUP)
        self._reap()

    def _stop(self) -> None:
        now = time.monotonic()
        if self._deadline is None:
            if not self._failed:
                log.info("stopping", extra={FIELDS: {"drain": self._drain}})
                systemd.notify("STOPPING=1", f"STATUS=finishing running pulls, at most {self._drain:g} s")
            self._deadline = now + self._drain + _MARGIN
            self._stopping()
        else:
            log.warning("stopping now: told twice")
            self._deadline = min(self._deadline, now + _MARGIN)
        self._tell(signal.SIGTERM)

    def _reap(self) -> None:
        for child in self._children:
            if child.pid and (ended := _ended(child.pid)) is not None:
                self._bury(child, ended)

    def _bury(self, child: Child, status: int) -> None:
        now = time.monotonic()
        child.deaths = 1 if now - child.started >= _LIVED else child.deaths + 1
        delay = 0.0 if child.deaths == 1 else min(_DELAY * 2 ** (child.deaths - 2), _DELAY_LIMIT)
        child.due = now + delay
        fields = {"child": child.pid, "seat": child.seat.index, "status": status}
        child.pid = 0
        child.seat.leave()
        if self._deadline is None:
            if not self._ready and (status == EXIT_CONFIG or child.deaths >= _TRIES):
                self._failed = EXIT_CONFIG if status == EXIT_CONFIG else EXIT_FAILED
                self._stop()
                return
            self._restarted()
            level = logging.ERROR if self._ready else logging.DEBUG
            log.log(level, "a process died", extra={FIELDS: {**fields, "restart_in": round(delay, 2)}})
        else:
            log.debug("a process ended", extra={FIELDS: fields})

    def _fork_due(self, now: float) -> None:
        for child in self._children:
            if child.due is not None and now >= child.due:
                child.due = None
                child.started = now
                child.seat.take(0)  # before the fork: afterwards the seat is the child's to write
                child.pid = os.fork()
                if child.pid == 0:
                    _become(child)

    def _report(self, now: float) -> None:
        serving = self._seats.serving(now)
        if not self._ready and serving == len(self._seats.workers) and self._deadline is None:
            self._ready = True
            self._serving()
            systemd.notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS=serving with {serving} processes")
        if systemd.watchdog_interval() is not None and not self._seats.stuck(now):
            systemd.notify("WATCHDOG=1")

    def _running(self) -> bool:
        return any(child.pid for child in self._children)

    def _tell(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)


def _ended(pid: int) -> int | None:
    """The exit code of a child that has ended (negative: by that signal); None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _become(child: Child) -> NoReturn:
    """In the fork: run, and never return into the supervisor's stack."""
    code = EXIT_FAILED
    try:
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the child listens to it
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # the same: the keeper says that tags may have moved
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C reaches all; the supervisor tells us
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        child.seat.take(os.getpid())
        if os.getppid() == parent:
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
