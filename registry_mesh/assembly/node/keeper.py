"""The half of a node that serves no client: its operator's listener, and what goes on in the background.

One process a node runs it, beside the workers. What it tells of them it reads from memory that all share.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from socket import socket
from typing import Final

from registry_mesh import __version__
from registry_mesh.admin.node import Readiness
from registry_mesh.admin.parent_use import with_use
from registry_mesh.admin.server import AdminServer
from registry_mesh.admin.status import (
    DayStatus,
    FindingsStatus,
    NodeStatus,
    ParentStatus,
    RegistryStatus,
    StoreStatus,
    WorkerStatus,
    cache_status,
    counters,
    finding_status,
    parent_status,
)
from registry_mesh.assembly.access.policy_in_force import admin_gate
from registry_mesh.assembly.access.pull_keeping import PullKeeping
from registry_mesh.assembly.access.pulls_told import KeptPulls
from registry_mesh.assembly.access.tls import admin_context
from registry_mesh.assembly.labels import node_name, parent_label
from registry_mesh.assembly.node.background import Job, in_background
from registry_mesh.assembly.runs.announced import Announced
from registry_mesh.assembly.runs.collection import collect_again_and_again, collects
from registry_mesh.assembly.runs.preloading import Preloader
from registry_mesh.assembly.runs.replicator import Replicator
from registry_mesh.assembly.runs.retention import RetentionRuns
from registry_mesh.assembly.runs.scrubbing import Scrubber, scrubbed
from registry_mesh.assembly.sources.parent_log import ParentLog
from registry_mesh.assembly.sources.parents import Seen
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.storage import open_storage, write_fault
from registry_mesh.assembly.sources.webhooks import Couriers
from registry_mesh.assembly.supervision.seats import Seats, State
from registry_mesh.assembly.supervision.told import Told
from registry_mesh.assembly.watch.figures import SAVE_EVERY, SAVE_EVERY_THERE, Figures
from registry_mesh.assembly.watch.gauges import Gauges
from registry_mesh.assembly.watch.images import NodeImages
from registry_mesh.assembly.watch.lookout import Lookout
from registry_mesh.assembly.watch.money import money
from registry_mesh.assembly.watch.served import Served
from registry_mesh.config.schema import Config
from registry_mesh.edge.access_log import AccessLog
from registry_mesh.findings.decide import LOOKED_AT
from registry_mesh.findings.finding import verdict
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.storage import Storage
from registry_mesh.repositories.journal import DocumentJournal
from registry_mesh.telemetry import audit, names
from registry_mesh.telemetry.events import Event, Events
from registry_mesh.telemetry.instruments import Table
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.upstream.health.board import Board

log: Final = logging.getLogger(__name__)

_LOOK: Final = 2.0
"""Seconds between two looks at what is shown as a gauge."""


_TIDY: Final = 3600.0
"""Seconds between two times of tidying up."""
_PINS: Final = 60.0
"""Seconds between two looks at what pinned tags point at."""


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
        self._board = seen
        self._seen = Seen(seen, row)
        self._seats = seats
        self._stack = AsyncExitStack()
        self._jobs = AsyncExitStack()
        self._has_left = False
        self.storage: Storage | None = None
        self._figures: Figures | None = None
        self._replicator: Replicator | None = None
        self._preloader: Preloader | None = None
        self._scrubbers: list[Scrubber] = []
        self._retention: RetentionRuns | None = None
        self._couriers = Couriers(config) if config.webhooks.receivers else None
        self._started = time.time()
        self._instruments = table.row(row)
        self._fault: str | None = None
        self._images: NodeImages | None = None
        self._admin: AdminServer | None = None
        self._parent_log = ParentLog(seen)
        self._told = told or Told()
        self._audit_log = AccessLog(config.log.audit)
        self._elders = tuple(elders)
        self._gauges = Gauges(config, self._instruments, seen, seats, self._elders, self._told)
        own = config.registry or names.OTHER if config.role == "origin" else ""
        self._served = Served(table, self._instruments, own)
        self._events = Events()
        self.lookout = Lookout(
            lambda: self._config,
            self._told,
            self._status,
            self._instruments,
            table,
            lambda: self.storage.records if self.storage else None,
        )
        self.table = table

    def reopen(self) -> None:
        """Go on with the audit log in the file that has its name now."""
        self._audit_log.reopen()

    def _audit(self, event: str, **said: object) -> None:
        self._audit_log.add(audit.line(event, node_name(self._config), **said))

    async def start(self, listener: socket, *more: socket) -> None:
        """Answer the operator on `listener`. `StoreBroken`, `NotBuilt`; nothing is left behind then."""
        async with AsyncExitStack() as stack:
            self.storage = await open_storage(self._config)
            stack.push_async_callback(self.storage.close)
            if self._config.rules is not None and self._config.role == "site":
                preloader = Preloader(self._config, self.storage, self._instruments, self._seen)
                self._preloader = await stack.enter_async_context(preloader)
            elif self._config.rules is not None:
                replicator = Replicator(self._config, self.storage, self._instruments, self._seen)
                self._replicator = await stack.enter_async_context(replicator)
            self._scrubbers = [
                Scrubber(lambda: self._config, self.storage, what, self._instruments, self._seen)
                for what in scrubbed(self._config, self.storage)
            ]
            if self._config.role == "origin":
                self._retention = RetentionRuns(lambda: self._config, self.storage)
            self._figures = Figures(
                self.storage.records,
                node_name(self._config),
                self.table,
                every=SAVE_EVERY if self.storage.kind == "disk" else SAVE_EVERY_THERE,
                events=self._events,
            )
            stack.push_async_callback(self._save_figures)
            if self.storage.kind == "disk":  # before anything is counted; a bucket may let us wait
                await self._figures.save()
            await stack.enter_async_context(self._jobs)
            for job in self._background():
                await self._jobs.enter_async_context(in_background(job))
            info = {"role": self._config.role, "name": node_name(self._config), "version": __version__}
            self._images = NodeImages(
                self._config, self.storage, self._instruments, self._seen, self._tell_workers
            )
            stack.push_async_callback(self._images.close)
            pulls = KeptPulls(PullKeeping(self._config.pulls))
            self._audit_log.open()
            stack.push_async_callback(self._audit_log.close)
            runs = Announced(self._config, self._replicator) if self._replicator is not None else None
            self._admin = AdminServer(
                self, info, self._images, admin_gate(self._config), pulls, self._audit, runs
            )
            await self._admin.start(listener, admin_context(self._config.admin))
            stack.push_async_callback(self._admin.close)
            self._stack = stack.pop_all()

    async def leave(self) -> None:
        """Leave the operator's address, and what goes on by itself, to the keeper that replaces this one. Return when
        those are answered who wait for what they asked of this one."""
        self._has_left = True
        for runs in (self._replicator, self._preloader):
            if runs is not None:
                runs.hand_over()
        if self._admin is not None:
            await self._admin.leave()
        await self._jobs.aclose()
        if self._images is not None:
            await self._images.finish()

    async def close(self) -> None:
        """End every task, then close what they used."""
        await self._stack.aclose()

    async def _save_figures(self) -> None:
        self._hear()
        """At the end; where another keeper counts on, what it saved is not to be gone behind."""
        if self._figures is not None and not self._has_left:
            await self._figures.save()

    @property
    def replicator(self) -> Replicator | None:
        """What runs the rules; None where there are none."""
        return self._replicator

    def forget(self) -> None:
        """It remembers no answers."""

    def _tell_workers(self) -> None:
        """Have them forget what they remember of tags: it may be different by now."""
        crews = [self._seats, *(seats for _, seats in self._elders)]
        for sitter in (seat.sitter for seats in crews for seat in seats.workers):
            if sitter.state in (State.SERVING, State.DRAINING) and sitter.pid:
                with suppress(ProcessLookupError):
                    os.kill(sitter.pid, signal.SIGUSR2)

    async def _keep_pins(self) -> None:
        while True:
            with suppress(Failure):
                if self._images is not None:
                    await self._images.keep_pins()
            await asyncio.sleep(_PINS)

    def _background(self) -> list[Job]:
        jobs: list[Job] = [
            self._look,
            self._tidy,
            self._keep_pins,
            self._watch,
            self._parent_log.follow,
            self.lookout.follow,
            self._listen,
        ]
        if self._figures is not None:
            jobs.append(self._figures.follow)
        jobs += [scrubber.repeat for scrubber in self._scrubbers]
        if self._replicator is not None:
            jobs.append(self._replicator.repeat)
        if self._preloader is not None:
            jobs.append(self._preloader.repeat)
        if collects(self._config):
            jobs.append(self._collect)
        if self._retention is not None:
            jobs.append(self._retention.repeat)
        if self._couriers is not None:
            jobs.append(self._bring_events)
        return jobs

    async def _collect(self) -> None:
        assert self.storage is not None, "opened before any job begins"
        await collect_again_and_again(lambda: self._config, self.storage)

    async def _bring_events(self) -> None:
        assert self._couriers is not None and self.storage is not None, "there are receivers, and it is open"
        await self._couriers.follow(DocumentJournal(open_repositories(self._config, self.storage)))

    async def _listen(self) -> None:
        """Take down what workers tell of requests that were not answered as asked."""
        while True:
            self._hear()
            await asyncio.sleep(1.0)

    def _hear(self) -> None:
        for told in self._told.events.new():
            side, reason, subject, why, at = (
                str(told[key]) for key in ("side", "reason", "subject", "why", "at")
            )
            self._events.add(side, reason, subject, why, round(float(at), 3))

    def events(self) -> Sequence[Event]:
        """Refusals and failures, the newest first."""
        self._hear()
        return self._events.newest_first()

    async def _look(self) -> None:
        """Keep the gauges true."""
        while True:
            try:
                self._measure()
            except Failure as fault:
                log.warning("cannot look at the store", extra={FIELDS: {"why": fault.reason}})
            await asyncio.sleep(_LOOK)

    async def _watch(self) -> None:
        """Raise the alarm while the disk cannot be written to, or the bucket not be reached; say once when that begins
        and ends."""
        while self.storage is not None:
            fault = await write_fault(self.storage)
            if fault is not None and self._fault is None:
                log.error(
                    "the store cannot be written to: pulls go on without it", extra={FIELDS: {"why": fault}}
                )
            elif fault is None and self._fault is not None:
                log.warning("the store can be written to again", extra={FIELDS: {"was": self._fault}})
            self._fault = fault
            self._instruments.gauge(names.STORE_FAULTY).set(int(fault is not None))
            await asyncio.sleep(_LOOK)

    async def _tidy(self) -> None:
        """Clean up behind what died, now and every hour."""
        while self.storage is not None:
            try:
                await self.storage.tidy()
            except Failure as fault:
                log.warning("cannot tidy the store", extra={FIELDS: {"why": fault.reason}})
            await asyncio.sleep(_TIDY)

    def _measure(self) -> None:
        if self._scrubbers:
            self._scrubbers[0].tell()
        ruled = (self._replicator, self._preloader, self._retention)
        told = (each.status() for each in ruled if each is not None)
        faults = [len(each.faults) for each in told if each is not None]
        self._gauges.measure(self._stored, sum(faults) if faults else None, self._registries())
        self._served.look()

    # What the operator is told

    def readiness(self) -> Readiness:
        """Whether a process serves, and else why not."""
        if self._seats.draining():
            return Readiness(False, "shutting down")
        serving = self._seats.serving(time.monotonic())
        return Readiness(serving > 0, "" if serving else "no process serves")

    async def status(self) -> NodeStatus:
        """The state of the node, measured now."""
        self._measure()
        return self._status()

    def findings(self) -> FindingsStatus:
        """What is wrong at the node, with the verdict."""
        found = self.lookout.findings
        said = verdict(node_name(self._config), found, self.readiness().ready)
        return FindingsStatus(
            node_name(self._config), said, LOOKED_AT, [finding_status(each) for each in found]
        )

    def _status(self) -> NodeStatus:
        used, quota = self._stored()
        return NodeStatus(
            role=self._config.role,
            name=node_name(self._config),
            version=__version__,
            uptime_seconds=round(time.time() - self._started, 1),
            ready=self.readiness().ready,
            listen=str(self._config.listen),
            generation=self._told.number,
            store=StoreStatus(self.storage.kind if self.storage else None, used, quota, self._fault),
            workers=self._workers(),
            registries=self._registries(),
            scrub=self._scrubbers[0].status() if self._scrubbers else None,
            replication=self._replicator.status() if self._replicator else None,
            counters=counters(self.table),
            last_day=self._day(),
            cache=cache_status(self.table) if self._config.role != "origin" else None,
            retention=self._retention.status() if self._retention else None,
            preloading=self._preloader.status() if self._preloader else None,
            webhooks=self._couriers.status() if self._couriers else (),
            verdict=self.findings().verdict,
            findings=self.findings().findings,
        )

    def _day(self) -> DayStatus | None:
        if self._figures is None:
            return None
        day = self._figures.status()
        prices = {
            (host, parent): price
            for host, registry in self._config.registries.items()
            for parent, price in registry.prices.items()
        }
        return replace(day, money=money(self._figures.received(), prices, day.saved_bytes))

    def _workers(self) -> list[WorkerStatus]:
        now = time.monotonic()
        crews = [(self._told.number, self._seats), *self._elders]
        return [
            WorkerStatus(
                pid=sitter.pid,
                state=sitter.state.name.lower(),
                since_seconds=round(now - sitter.since, 1),
                silent_seconds=round(now - sitter.beat, 1),
                generation=number,
            )
            for number, seats in crews
            for sitter in (seat.sitter for seat in seats.workers)
            if number == self._told.number or sitter.pid
        ]

    def _registries(self) -> dict[str, RegistryStatus]:
        asking, lies = self._by_parent(names.PARENT_AVAILABLE), self._by_parent(names.LIES)
        day = self._figures.received() if self._figures else {}
        now = time.monotonic()

        def parent(host: str, url: str) -> ParentStatus:
            label = parent_label(url)
            standing = self._board.sheet(label).standing(now)
            told = parent_status(url, standing, now, asking.get(label, 0), lies.get(label, 0))
            price = self._config.registries[host].prices.get(label)
            return replace(told, day_bytes=day.get((host, label), 0), price=str(price or ""))

        return {
            host: RegistryStatus(
                registry.default,
                with_use([[parent(host, url) for url in group] for group in registry.parents]),
                cache_status(self.table, host),
            )
            for host, registry in self._config.registries.items()
        }

    def _by_parent(self, metric: names.Metric) -> dict[str, int]:
        """Of all registries together."""
        found: dict[str, int] = {}
        for sample in self.table.read(metric):
            found[sample.labels[-1]] = found.get(sample.labels[-1], 0) + int(sample.value)
        return found

    def _stored(self) -> tuple[int | None, int | None]:
        """Bytes used and allowed on this machine's disk; None where that is not known, or not bounded."""
        if self.storage is None:
            return None, None
        disk = self.storage.disk
        return (disk.used if disk else None), self.storage.quota
