"""Keeps a node's processes running: forks them, starts a dead one again, replaces them, lets all go at the end.

It runs no event loop and no thread, and touches no data: there is little in it that could fail. Processes that serve
one configuration are a crew. A new configuration is a new crew on the same sockets: it is started beside the one that
serves, and only when all of it serves is that one told to finish what it has; where it cannot start, nothing changes.
Signals:

    TERM, INT   once: children stop accepting and finish what runs, at most `drain` seconds; twice: now
    HUP         a new crew is made of the configuration as it stands now
    USR1        children open their logs anew
    CHLD        a child has died: its seat is taken again, at once the first time, later and later after that
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.assembly.supervision import systemd
from registry_mesh.assembly.supervision.crew import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_OK,
    SIGNALS,
    Child,
    Crew,
    exit_code,
    inherited,
)
from registry_mesh.assembly.supervision.signals import awaited
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

LINGER: Final = 3600.0
"""Seconds that a child which was replaced may take for pulls that run."""
_LIVED: Final = 30.0
"""A child that lived for so many seconds was well: its successor need not wait."""
_TRIES: Final = 3
"""A child that dies so often before the node has ever served ends the node."""
_MARGIN: Final = 5.0
"""Seconds after the drain before a child that has not ended is killed."""


@dataclass(slots=True)
class Heard:
    """What a supervisor calls. Each is called in its own process."""

    serving: Callable[[], None] = lambda: None
    """Once, when all serve for the first time."""
    replace: Callable[[list[int], list[int]], Crew | None] = lambda pids, leaving: None
    """A crew for the configuration as it stands now; None where it cannot be used. Is given the processes that serve,
    and those that were told to end and have not yet."""
    replaced: Callable[[], None] = lambda: None
    """The crew that `replace` gave serves."""
    refused: Callable[[], None] = lambda: None
    """The crew that `replace` gave could not start; the one before goes on."""
    stopping: Callable[[], None] = lambda: None
    """Once, at the first TERM."""
    restarted: Callable[[], None] = lambda: None
    """For each child of the crew that serves that died."""


class Supervisor:
    """Of one node, until a signal ends it."""

    def __init__(
        self,
        crew: Crew,
        heard: Heard | None = None,
        elders: Sequence[int] = (),
        leaving: Sequence[int] = (),
    ) -> None:
        """`elders`: children of the version of the program before, which go on until the crew serves; `leaving`: those
        that were told to end before that, and finish what they have."""
        self._crew = crew
        self._heard = heard or Heard()
        self._coming: Crew | None = None
        self._elders = inherited(elders)
        older = inherited(leaving)
        older.deadline = time.monotonic() + LINGER + _MARGIN  # and not `end`: told again, they would hurry
        self._leaving: list[Crew] = [self._elders, older]
        self._again = False
        self._stopping = False
        self._ready = False
        self._failed = EXIT_OK

    def run(self) -> int:
        """Until all children are gone. An exit code: 0 after an orderly end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        interval = min(systemd.watchdog_interval() or 1.0, 0.2)
        with contextlib.ExitStack() as restore:
            restore.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, SIGNALS)
            while True:
                now = time.monotonic()
                if self._stopping and all(crew.gone for crew in self._crews()):
                    return self._failed
                self._attend(now)
                self._report(now)
                if (received := awaited(SIGNALS, interval)) is not None:
                    self._handle(received)

    def _crews(self) -> list[Crew]:
        return [self._crew, *([self._coming] if self._coming else []), *self._leaving]

    def _attend(self, now: float) -> None:
        for crew in self._crews():
            if crew.deadline is None:
                crew.fork_due(now)
            elif now >= crew.deadline:
                crew.tell(signal.SIGKILL)
        self._leaving = [crew for crew in self._leaving if not crew.gone]
        if self._coming is not None and self._coming.seats.all_serve(now):
            self._hand_over(self._coming, now)

    def _hand_over(self, coming: Crew, now: float) -> None:
        """The new crew serves: the old one finishes what it has."""
        old, self._crew, self._coming = self._crew, coming, None
        for child in old.children:
            child.seat.replace()
            child.due = None
        old.end(now + LINGER + _MARGIN)
        self._leaving.append(old)
        self._heard.replaced()
        self._next()

    def _give_up(self, coming: Crew, now: float) -> None:
        """The new crew cannot start: it goes, and nothing has changed."""
        self._coming = None
        coming.end(now + _MARGIN)
        self._leaving.append(coming)
        self._heard.refused()
        self._next()

    # What happens

    def _handle(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and not self._stopping:
            self._again = True
            self._next()
        elif number == signal.SIGUSR1:
            for crew in self._crews():
                crew.tell(signal.SIGUSR1)
        self._reap()

    def _next(self) -> None:
        """Begin with a new crew where one is asked for and none is on its way."""
        if self._again and self._coming is None and self._ready and not self._stopping:
            self._again = False
            leaving = [pid for crew in self._leaving for pid in crew.pids]
            self._coming = self._heard.replace(self._crew.pids, leaving)

    def _stop(self) -> None:
        now = time.monotonic()
        if not self._stopping:
            if not self._failed:
                log.info("stopping", extra={FIELDS: {"drain": self._crew.drain}})
                systemd.notify(
                    "STOPPING=1", f"STATUS=finishing running pulls, at most {self._crew.drain:g} s"
                )
            self._stopping = True
            self._heard.stopping()
            deadline = now + self._crew.drain + _MARGIN
        else:
            log.warning("stopping now: told twice")
            deadline = now + _MARGIN
        for crew in self._crews():
            crew.end(deadline)

    def _reap(self) -> None:
        self._report(time.monotonic())  # a seat says that it served until who died there is buried
        for crew in self._crews():
            for child in crew.children:
                if child.pid and (ended := exit_code(child.pid)) is not None:
                    self._bury(crew, child, ended)

    def _bury(self, crew: Crew, child: Child, status: int) -> None:
        now = time.monotonic()
        child.deaths = 1 if now - child.started >= _LIVED else child.deaths + 1
        delay = child.pause
        child.due = now + delay
        fields = {"child": child.pid, "seat": child.seat.index, "status": status}
        child.pid = 0
        child.seat.leave()
        if crew.deadline is not None:
            log.debug("a process ended", extra={FIELDS: fields})
        elif crew is self._coming:
            self._give_up(crew, now)
        elif crew is self._elders:
            child.due = None  # what it was to do, nobody knows here
        elif not self._ready and self._elders.gone and (status == EXIT_CONFIG or child.deaths >= _TRIES):
            self._failed = EXIT_CONFIG if status == EXIT_CONFIG else EXIT_FAILED
            if status < 0:  # it could not say why
                log.error(
                    "giving up: processes are killed as they start",
                    extra={FIELDS: {**fields, "signal": -status}},
                )
            self._stop()
        else:
            self._heard.restarted()
            level = logging.ERROR if self._ready or not self._elders.gone else logging.DEBUG
            log.log(level, "a process died", extra={FIELDS: {**fields, "restart_in": round(delay, 2)}})

    def _report(self, now: float) -> None:
        serving = self._crew.seats.serving(now)
        if not self._ready and serving == len(self._crew.seats.workers) and not self._stopping:
            self._ready = True
            self._elders.end(now + LINGER + _MARGIN)
            self._heard.serving()
            systemd.notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS=serving with {serving} processes")
            self._next()
        if systemd.watchdog_interval() is not None and not self._crew.seats.stuck(now):
            systemd.notify("WATCHDOG=1")
