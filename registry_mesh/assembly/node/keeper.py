"""The half of a node that serves no client: its operator's listener, and what goes on in the background.

One process a node runs it, beside the workers. What it tells of them it reads from memory that all share.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from socket import socket
from typing import Final

from registry_mesh import __version__
from registry_mesh.admin.node import Readiness
from registry_mesh.admin.server import AdminServer
from registry_mesh.admin.status import (
    FindingsStatus,
    NodeStatus,
)
from registry_mesh.assembly.access.policy_in_force import admin_gate, admin_hosts
from registry_mesh.assembly.access.pull_keeping import PullKeeping
from registry_mesh.assembly.access.pulls_told import KeptPulls
from registry_mesh.assembly.access.tls import admin_tls
from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.node.background import Job, in_background
from registry_mesh.assembly.node.telling import Telling
from registry_mesh.assembly.runs.announced import Announced
from registry_mesh.assembly.runs.node_runs import NodeRuns
from registry_mesh.assembly.runs.replicator import Replicator
from registry_mesh.assembly.sources.parent_log import ParentLog
from registry_mesh.assembly.sources.parents import Seen
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.assembly.supervision.seats import Seats, State
from registry_mesh.assembly.supervision.told import MOVING, Told
from registry_mesh.assembly.watch.figures import SAVE_EVERY, SAVE_EVERY_THERE, Figures
from registry_mesh.assembly.watch.gauges import Gauges
from registry_mesh.assembly.watch.heard_events import HeardEvents
from registry_mesh.assembly.watch.images import NodeImages
from registry_mesh.assembly.watch.moving import MovingTold, coming, moving
from registry_mesh.assembly.watch.now import Now
from registry_mesh.assembly.watch.pin_watch import PinWatch
from registry_mesh.assembly.watch.record_upkeep import RecordUpkeep
from registry_mesh.assembly.watch.served import Served
from registry_mesh.assembly.watch.shown import Shown
from registry_mesh.assembly.watch.store_watch import StoreWatch
from registry_mesh.config.schema import Config
from registry_mesh.edge.access_log import AccessLog
from registry_mesh.edge.held_lines import HeldLines
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.holdings import StoreAccount
from registry_mesh.ports.storage import Storage
from registry_mesh.telemetry import audit, names
from registry_mesh.telemetry.events import Event
from registry_mesh.telemetry.instruments import Table
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.note import Note
from registry_mesh.upstream.health.board import Board

log: Final = logging.getLogger(__name__)

_LOOK: Final = 2.0
"""Seconds between two looks at what is shown as a gauge."""


class Keeper:
    """Implements `admin.node.Node`. `row` of the table is its own."""

    def __init__(
        self,
        config: Config,
        table: Table,
        seats: Seats,
        row: int,
        seen: Board,
        told: Told | None = None,
        elders: Sequence[tuple[int, Seats]] = (),
    ) -> None:
        """`elders`: seats of older configurations, by their number, whose processes finish what they have."""
        self._config = config
        self._seats = seats
        self._stack = AsyncExitStack()
        self._jobs = AsyncExitStack()
        self._has_left = False
        self._instruments = table.row(row)
        self._images: NodeImages | None = None
        self._pins = PinWatch(lambda: self._images)
        self._admin: AdminServer | None = None
        self._parent_log = ParentLog(seen)
        self._told = told or Told(rows=max(row, 1))
        self._files = self._told.last_files(row)
        self._seen = Seen(seen, row, self._files)
        lost = partial(audit.lost, node_name(config))
        held = HeldLines(self._instruments)
        self._audit_log = AccessLog(config.log.audit, True, lost, rest=0.0, held=held)
        self._crews = [(self._told.number, seats), *elders]
        self._shown = Shown(config, table, seen, self._crews)
        self._gauges = Gauges(config, self._instruments, seen, seats, elders, self._told)
        own = config.registry or names.OTHER if config.role == "origin" else ""
        self._served = Served(table, self._instruments, own)
        self._now = Now(table)
        self._own_moving = Note(MOVING)
        self._moving = (*self._told.moving, self._own_moving)
        self._telling = Telling(config, table, self._instruments, seats, self._told, self._shown, self._now)
        self.lookout = self._telling.lookout
        self._heard = HeardEvents(self._told.events, self.lookout.note_unserved, self.lookout.note_unkept)
        self.table = table

    @property
    def storage(self) -> Storage | None:
        """What the node keeps its content in; None before it has started."""
        return self._telling.storage

    def reopen(self) -> None:
        """Go on with the audit log in the file that has its name now."""
        self._audit_log.reopen()

    def _audit(self, event: str, **said: object) -> None:
        self._audit_log.add(audit.line(event, node_name(self._config), **said))

    async def start(self, listener: socket, *more: socket) -> None:
        """Answer the operator on `listener`. `StoreBroken`, `NotBuilt`; nothing is left behind then."""
        async with AsyncExitStack() as stack:
            storage = await open_storage(self._config, last=self._files)
            self._telling.storage = storage
            stack.push_async_callback(storage.close)
            self._audit_log.open()  # before anything runs that tells of what it changes
            stack.push_async_callback(self._audit_log.close)
            runs = NodeRuns(self._config, storage, self._instruments, self._seen, self._audit_log.add)
            self._telling.runs = await stack.enter_async_context(runs)
            self._telling.store = store = StoreWatch(storage, self._instruments)
            figures = Figures(
                storage.records,
                node_name(self._config),
                self.table,
                every=SAVE_EVERY if storage.records_are_near else SAVE_EVERY_THERE,
                events=self._heard.events,
            )
            self._shown.figures = figures
            stack.push_async_callback(self._save_figures)
            if storage.records_are_near:  # before anything is counted; a bucket may let us wait
                await figures.save()
            await stack.enter_async_context(self._jobs)
            for job in self._background(runs, store, storage, figures):
                await self._jobs.enter_async_context(in_background(job))
            self._admin = await self._open_admin(stack, storage, runs)
            tls = admin_tls(self._config.admin, self._files)
            await self._admin.start(listener, tls.context if tls is not None else None)
            stack.push_async_callback(self._admin.close)
            if tls is not None:
                await stack.enter_async_context(in_background(partial(tls.follow, self._admin.part)))
            self._stack = stack.pop_all()

    async def _open_admin(self, stack: AsyncExitStack, storage: Storage, runs: NodeRuns) -> AdminServer:
        """What answers the operator, not yet started, over what it asks."""
        info = {"role": self._config.role, "name": node_name(self._config), "version": __version__}
        pulls = PullKeeping(self._config.pulls, last=self._files)
        self._images = NodeImages(
            self._config,
            storage,
            self._instruments,
            pulls,
            lambda: coming(self._moving),
            self._seen,
            self._tell_workers,
        )
        stack.push_async_callback(self._images.close)
        bringing = runs.replicator or runs.preloader
        announced = Announced(self._config, bringing) if bringing is not None else None
        return AdminServer(
            self,
            info,
            self._images,
            admin_gate(self._config, self._files),
            KeptPulls(pulls),
            self._audit,
            announced,
            partial(moving, self._moving),
            admin_hosts(self._config),
            runs.shown(),
        )

    async def leave(self) -> None:
        """Leave the operator's address, and what goes on by itself, to the keeper that replaces this one. Return when
        those are answered who wait for what they asked of this one."""
        self._has_left = True
        if self._telling.runs is not None:
            self._telling.runs.hand_over()
        if self._admin is not None:
            await self._admin.leave()
        await self._jobs.aclose()
        if self._images is not None:
            await self._images.finish()

    async def close(self) -> None:
        """End every task, then close what they used."""
        await self._stack.aclose()

    async def _save_figures(self) -> None:
        """At the end; where another keeper counts on, what it saved is not to be gone behind."""
        self._heard.hear()
        if self._shown.figures is not None and not self._has_left:
            await self._shown.figures.save()

    @property
    def replicator(self) -> Replicator | None:
        """What runs the rules; None where there are none."""
        return self._telling.runs.replicator if self._telling.runs is not None else None

    def forget(self) -> None:
        """It remembers no answers."""

    def _tell_workers(self) -> None:
        """Have them forget what they remember of tags: it may be different by now."""
        for sitter in (seat.sitter for _, seats in self._crews for seat in seats.workers):
            if sitter.state in (State.SERVING, State.DRAINING) and sitter.pid:
                with suppress(ProcessLookupError):
                    os.kill(sitter.pid, signal.SIGUSR2)

    def _background(self, runs: NodeRuns, store: StoreWatch, storage: Storage, figures: Figures) -> list[Job]:
        upkeep = RecordUpkeep(self._config, storage, self._tell_workers)
        caches = [] if self._config.role == "origin" else [upkeep.follow]
        return [
            *caches,
            self._look,
            store.tidy,
            self._pins.follow,
            store.follow,
            store.sum_up,
            self._parent_log.follow,
            self.lookout.follow,
            self._listen,
            figures.follow,
            *runs.repeated(),
        ]

    async def _listen(self) -> None:
        """Take down what workers tell of requests that were not answered as asked; tell what this process brings."""
        telling = MovingTold(self._own_moving)
        while True:
            self._heard.hear()
            telling.tell(self._images.moving() if self._images is not None else (), (), 0)
            await asyncio.sleep(1.0)

    def events(self) -> Sequence[Event]:
        """Refusals and failures, the newest first."""
        return self._heard.newest_first()

    async def _look(self) -> None:
        """Keep the gauges true."""
        while True:
            try:
                self._measure()
            except Failure as fault:
                log.warning("cannot look at the store", extra={FIELDS: {"why": fault.reason}})
            await asyncio.sleep(_LOOK)

    def _measure(self) -> None:
        if self._telling.runs is not None and self._telling.runs.scrubbers:
            self._telling.runs.scrubbers[0].tell()
        faults = self._telling.runs.rule_faults() if self._telling.runs is not None else None
        account = self._telling.store.account if self._telling.store is not None else StoreAccount()
        self._gauges.measure(self._telling.stored, account, faults, self._shown.registries())
        self._gauges.measure_siblings(self._shown.siblings())
        self._served.look()
        self._now.look()

    # What the operator is told

    def readiness(self) -> Readiness:
        """Whether a process serves, and else why not."""
        return self._telling.readiness()

    async def status(self) -> NodeStatus:
        """The state of the node, measured now."""
        self._measure()
        return self._telling.status()

    def findings(self) -> FindingsStatus:
        """What is wrong at the node, with the verdict."""
        return self._telling.findings()
