"""A node as a service: its processes, from a configuration file to an exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from registry_mesh.assembly import allocator, file_limit
from registry_mesh.assembly.access import token_key
from registry_mesh.assembly.build import beat
from registry_mesh.assembly.exporters import export_traces
from registry_mesh.assembly.keeper import Keeper
from registry_mesh.assembly.labels import board, layout, node_name
from registry_mesh.assembly.last_words import LastWords
from registry_mesh.assembly.loops import loop_factory
from registry_mesh.assembly.parents import Seen
from registry_mesh.assembly.preflight import demand_store
from registry_mesh.assembly.seats import Seat, Seats, State
from registry_mesh.assembly.sockets import listen
from registry_mesh.assembly.storage import NotBuilt
from registry_mesh.assembly.supervisor import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, Child, Supervisor
from registry_mesh.assembly.told import Told
from registry_mesh.assembly.worker import Worker
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load, reload
from registry_mesh.config.schema import Config
from registry_mesh.config.values import host_and_port
from registry_mesh.ports.failures import Failure, StoreUnfit
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Table
from registry_mesh.telemetry.logs import FIELDS, log_to
from registry_mesh.upstream.board import Board

log: Final = logging.getLogger(__name__)

_TAGS: Final = "registries.tags"
_RELOADED: Final = frozenset({"access", "log", "rules", "replication", _TAGS})
"""Keys that take effect without a restart."""


class Half(Protocol):
    """A worker or the keeper, as its process runs it."""

    async def start(self, listener: socket.socket) -> None:
        """Begin to serve at `listener`."""
        ...

    async def close(self) -> None:
        """Answer what is under way, and end."""
        ...

    def reload(self, config: Config) -> None:
        """Take over what may change in a configuration while the node runs."""
        ...

    def forget(self) -> None:
        """Ask parents anew for what was remembered of tags."""
        ...


class StartFailed(Exception):
    """No process of the node could start. `unfit`: to start it again as it is would be of no use."""

    def __init__(self, why: str, *, unfit: bool) -> None:
        super().__init__(why)
        self.unfit = unfit


@dataclass(slots=True)
class Service:
    """One node's processes. Sockets and shared memory are made before the first fork."""

    path: Path
    config: Config
    adopt: bool = False
    """Whether another node's store is taken over."""
    listeners: list[socket.socket] = field(init=False)
    operating: socket.socket = field(init=False)
    table: Table = field(init=False)
    seats: Seats = field(init=False)
    board: Board = field(init=False)
    key: bytes | None = field(init=False, repr=False)
    """What all workers sign tokens with."""
    told: Told = field(init=False)
    words: LastWords = field(default_factory=LastWords)
    ready: bool = False
    """Whether all have served; children see it as it was when they were forked."""

    def run(self) -> int:
        """Until a signal ends it. `AddressTaken`, `LoopMissing`, `StoreForeign`, `StartFailed`."""
        config = self.config
        loop_factory(config.loop)
        files = file_limit.raise_limit()
        allocator.few_arenas()
        log_to(level=config.log.level, form=config.log.format, role=config.role, node=node_name(config))
        demand_store(config, adopt=self.adopt)
        self.listeners = listen(config.listen.address, config.listen.port, config.workers)
        self.operating = listen(config.admin.address, config.admin.port)[0]
        self.seats = Seats(config.workers)
        self.key = token_key(config)
        self.table = Table(layout(config), config.workers + 2)  # the last row is the supervisor's
        self.board = board(config, config.workers + 1)
        self.told = Told(str(self.path))
        own = self.table.row(config.workers + 1)
        own.gauge(names.RELOAD_OK).set(1)
        restarts = own.counter(names.WORKER_RESTARTS)
        children = [Child(seat, self._worker(seat)) for seat in self.seats.workers]
        children.append(Child(self.seats.keeper, self._keep))

        def serving() -> None:
            self.ready = True
            where = host_and_port(config.listen.address, self.port)
            fields = {"listen": where, "workers": config.workers, "open_files": files}
            log.info("serving", extra={FIELDS: fields})

        code = Supervisor(
            self.seats,
            children,
            drain=config.drain,
            reload=self._reload,
            stopping=self._stop_listening,
            restarted=restarts.add,
            serving=serving,
        ).run()
        if code and not self.ready and (heard := self.words.heard()) is not None:
            raise StartFailed(heard[1], unfit=heard[0])
        return code

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return int(self.listeners[0].getsockname()[1])

    def _stop_listening(self) -> None:
        for each in self.listeners:
            each.close()

    # In a child

    def _worker(self, seat: Seat) -> Callable[[], int]:
        def run() -> int:
            self.operating.close()
            for i, each in enumerate(self.listeners):
                if i != seat.index:
                    each.close()
            self.board.clear(seat.index)
            seen = Seen(self.board, seat.index)
            worker = Worker(self.config, self.table.row(seat.index), seen, self.key, self.told)
            return self._live(seat, worker, self.listeners[seat.index], worker.drain)

        return run

    def _keep(self) -> int:
        self._stop_listening()
        seat = self.seats.keeper
        self.board.clear(seat.index)
        keeper = Keeper(self.config, self.table, self.seats, seat.index, self.board, self.told)
        return self._live(seat, keeper, self.operating, self._outlive)

    async def _outlive(self, seconds: float) -> None:
        """The keeper answers the operator until the last worker has gone."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while loop.time() < deadline and not self.seats.empty():  # noqa: ASYNC110 (memory of other processes)
            await asyncio.sleep(0.05)

    def _live(
        self, seat: Seat, half: Half, listener: socket.socket, drain: Callable[[float], Awaitable[None]]
    ) -> int:
        with asyncio.Runner(loop_factory=loop_factory(self.config.loop)) as runner:
            return runner.run(self._life(seat, half, listener, drain))

    async def _life(
        self, seat: Seat, half: Half, listener: socket.socket, drain: Callable[[float], Awaitable[None]]
    ) -> int:
        told = _Told(self, half)
        shutdown_traces = export_traces(self.config.role, node_name(self.config))
        try:
            await half.start(listener)
        except (Failure, NotBuilt, OSError) as fault:
            unfit = isinstance(fault, StoreUnfit | NotBuilt)
            self.words.say(unfit, str(fault))
            if self.ready:
                log.critical("cannot start", extra={FIELDS: {"why": str(fault)}})
            return EXIT_CONFIG if unfit and not self.ready else EXIT_FAILED
        except Exception as fault:
            log.critical(
                "cannot start", extra={FIELDS: {"why": str(fault) or type(fault).__name__}}, exc_info=fault
            )
            return EXIT_FAILED
        _leave_alone_what_stays()
        beating = asyncio.create_task(beat(self.seats, seat.index))
        seat.enter(State.SERVING)
        await told.once.wait()
        seat.enter(State.DRAINING)
        draining = asyncio.ensure_future(drain(self.config.drain))
        twice = asyncio.create_task(told.twice.wait())
        await asyncio.wait({draining, twice}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, twice, beating):
            task.cancel()
        await half.close()
        shutdown_traces()
        return EXIT_OK

    # On SIGHUP, in every process

    def _reload(self) -> bool:
        """In the supervisor: whether children should read the file again."""
        gauge = self.table.row(self.config.workers + 1).gauge(names.RELOAD_OK)
        try:
            loaded = load(self.path).fit()
        except ConfigInvalid as invalid:
            gauge.set(0)
            self.told.refuse([str(finding) for finding in invalid.findings])
            log.error(
                "the configuration is invalid: the old one holds",
                extra={FIELDS: {"faults": [str(finding) for finding in invalid.findings]}},
            )
            return False
        gauge.set(1)
        self.told.refuse([])
        changed = changed_keys(self.config, loaded.config)
        log.info(
            "configuration read again",
            extra={
                FIELDS: {
                    "took_effect": sorted(changed & _RELOADED),
                    "needs_restart": sorted(changed - _RELOADED),
                }
            },
        )
        self.config = adopted(self.config, loaded.config)
        return True


def _leave_alone_what_stays() -> None:
    """Modules, settings and the store's tables live as long as the process: the collector need not walk through them
    again and again, with every client waiting. What is made from now on is looked at less often, and still is."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 5)


class _Told:
    """Signals of this process as events."""

    def __init__(self, service: Service, half: Half) -> None:
        self._service = service
        self._half = half
        self.once = asyncio.Event()
        self.twice = asyncio.Event()
        self._reloads: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_signal_handler(signal.SIGUSR2, half.forget)

    def _terminate(self) -> None:
        (self.twice if self.once.is_set() else self.once).set()

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._take_over())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _take_over(self) -> None:
        service = self._service
        async with self._one_at_a_time:
            try:
                config = (await reload(service.path)).config
            except ConfigInvalid:
                return  # the supervisor has said so
            self._adopt(config)

    def _adopt(self, config: Config) -> None:
        service = self._service
        service.config = adopted(service.config, config)
        logging.getLogger("registry_mesh").setLevel(config.log.level.upper())
        self._half.reload(service.config)


def changed_keys(old: Config, new: Config) -> set[str]:
    """Top-level keys whose values differ, and `registries.tags`."""
    changed = {key for key in Config.model_fields if getattr(old, key) != getattr(new, key)}
    if "registries" in changed:
        took = adopted(old, new)
        changed |= {_TAGS} if took.registries != old.registries else set()
        changed -= {"registries"} if took.registries == new.registries else set()
    return changed


def adopted(old: Config, new: Config) -> Config:
    """`old` with what can be reloaded from `new`."""
    registries = {
        host: known.model_copy(update={"tags": new.registries[host].tags})
        if host in new.registries
        else known
        for host, known in old.registries.items()
    }
    update = {key: getattr(new, key) for key in _RELOADED if key in Config.model_fields}
    return old.model_copy(update={**update, "registries": registries})


def serve(path: Path, config: Config, *, adopt: bool = False) -> int:
    """Run the node until it is told to end; an exit code. `adopt`: take over another node's store, which is
    `StoreForeign` else. `AddressTaken`, `LoopMissing`, `StartFailed`."""
    return Service(path, config, adopt).run()
