"""The life of a worker's or the keeper's process: started, serving, told to end, ended."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.node.build import beat
from registry_mesh.assembly.node.generation import Generation
from registry_mesh.assembly.sources.storage import NotBuilt
from registry_mesh.assembly.supervision.crew import EXIT_CONFIG, EXIT_FAILED, EXIT_OK
from registry_mesh.assembly.supervision.last_words import LastWords
from registry_mesh.assembly.supervision.loops import loop_factory
from registry_mesh.assembly.supervision.seats import Seat, State
from registry_mesh.assembly.supervision.supervisor import LINGER
from registry_mesh.ports.failures import Failure, StoreUnfit
from registry_mesh.telemetry.exporting import export_traces
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)


class Half(Protocol):
    """A worker or the keeper, as its process runs it."""

    async def start(self, listener: socket.socket, *more: socket.socket) -> None:
        """Begin to serve at `listener`, and at `more`."""
        ...

    async def close(self) -> None:
        """Answer what is under way, and end."""
        ...

    def reopen(self) -> None:
        """Go on with the logs in the files that have their names now."""
        ...

    def forget(self) -> None:
        """Ask parents anew for what was remembered of tags."""
        ...


@dataclass(frozen=True, slots=True)
class Life:
    """Of one process, in its seat."""

    generation: Generation
    seat: Seat
    half: Half
    drain: Callable[[float], Awaitable[None]]
    words: LastWords
    late: bool
    """Whether the node has served before: why this one cannot start is told in the log then."""

    def live(self, listeners: list[socket.socket]) -> int:
        """Until it is told to end; an exit code."""
        with asyncio.Runner(loop_factory=loop_factory(self.generation.config.loop)) as runner:
            return runner.run(self._live(listeners))

    async def _live(self, listeners: list[socket.socket]) -> int:
        config = self.generation.config
        signals = _Signals(self.seat, self.half)
        shutdown_traces = export_traces(config.role, node_name(config), self.generation.outage)
        try:
            await self.half.start(*listeners)
        except (Failure, NotBuilt, OSError) as fault:
            return self._failed(fault)
        except Exception as fault:
            why = str(fault) or type(fault).__name__
            log.critical("cannot start", extra={FIELDS: {"why": why}}, exc_info=fault)
            return EXIT_FAILED
        _leave_alone_what_stays()
        beating = asyncio.create_task(beat(self.generation.seats, self.seat.index))
        self.seat.enter(State.SERVING)
        await signals.once.wait()
        self.seat.enter(State.DRAINING)
        await self._drained(signals)
        beating.cancel()
        await self.half.close()
        shutdown_traces()
        return EXIT_OK

    def _failed(self, fault: Exception) -> int:
        unfit = isinstance(fault, StoreUnfit | NotBuilt)
        self.words.say(unfit, str(fault))
        if self.late:
            log.critical("cannot start", extra={FIELDS: {"why": str(fault)}})
        return EXIT_CONFIG if unfit and not self.late else EXIT_FAILED

    async def _drained(self, signals: _Signals) -> None:
        """Until what runs has ended. One that was replaced has time, until the whole node is told to end."""
        bound = self.generation.config.drain
        draining = asyncio.ensure_future(self.drain(LINGER if self.seat.replaced else bound))
        hurry, twice = (asyncio.create_task(event.wait()) for event in (signals.hurry, signals.twice))
        await asyncio.wait({draining, hurry, twice}, return_when=asyncio.FIRST_COMPLETED)
        if hurry.done() and not draining.done():
            await asyncio.wait({draining, twice}, timeout=bound, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurry, twice):
            task.cancel()


def _leave_alone_what_stays() -> None:
    """Modules, settings and the store's tables live as long as the process: the collector need not walk through them
    again and again, with every client waiting. What is made from now on is looked at less often, and still is."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 5)


class _Signals:
    """Signals of this process as events."""

    def __init__(self, seat: Seat, half: Half) -> None:
        self._seat = seat
        self.once = asyncio.Event()
        self.hurry = asyncio.Event()
        """One that was replaced is told that the whole node ends."""
        self.twice = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        loop.add_signal_handler(signal.SIGUSR1, half.reopen)
        loop.add_signal_handler(signal.SIGUSR2, half.forget)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # one that came before is heard now

    def _terminate(self) -> None:
        if not self.once.is_set():
            self.once.set()
        elif self._seat.replaced and not self.hurry.is_set():
            self.hurry.set()
        else:
            self.twice.set()
