"""What an operator is told of a whole node: whether it is ready, how it stands, what is wrong."""

from __future__ import annotations

import time

from registry_mesh import __version__
from registry_mesh.admin.node import Readiness
from registry_mesh.admin.status import (
    FindingsStatus,
    NodeStatus,
    StoreStatus,
    cache_status,
    counters,
    finding_status,
)
from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.runs.node_runs import NodeRuns
from registry_mesh.assembly.supervision.seats import Seats
from registry_mesh.assembly.supervision.told import Told
from registry_mesh.assembly.watch.lookout import Lookout
from registry_mesh.assembly.watch.now import Now
from registry_mesh.assembly.watch.shown import Shown
from registry_mesh.assembly.watch.store_watch import StoreWatch
from registry_mesh.config.schema import Config
from registry_mesh.findings.decide import LOOKED_AT
from registry_mesh.findings.finding import verdict
from registry_mesh.ports.storage import Storage
from registry_mesh.telemetry.instruments import Instruments, Table


class Telling:
    """Of one node. `storage`, `runs` and `store` are None until the keeper has begun with them."""

    def __init__(
        self,
        config: Config,
        table: Table,
        instruments: Instruments,
        seats: Seats,
        told: Told,
        shown: Shown,
        now: Now,
    ) -> None:
        """`instruments`: the keeper's row of `table`."""
        self._config = config
        self._table = table
        self._seats = seats
        self._told = told
        self._shown = shown
        self._now = now
        self.storage: Storage | None = None
        self.runs: NodeRuns | None = None
        self.store: StoreWatch | None = None
        self.lookout = Lookout(
            lambda: config,
            told,
            self.status,
            instruments,
            table,
            lambda: self.storage.records if self.storage else None,
        )

    def readiness(self) -> Readiness:
        """Whether a process serves, and else why not."""
        if self._seats.draining():
            return Readiness(False, "shutting down")
        serving = self._seats.serving(time.monotonic())
        return Readiness(serving > 0, "" if serving else "no process serves")

    def findings(self) -> FindingsStatus:
        """What is wrong at the node, with the verdict."""
        found = self.lookout.findings
        said = verdict(node_name(self._config), found, self.readiness().ready)
        return FindingsStatus(
            node_name(self._config),
            said,
            LOOKED_AT,
            [finding_status(each) for each in found],
            self._config.role,
            __version__,
        )

    def status(self) -> NodeStatus:
        """The state of the node, as it was measured last."""
        used, quota = self.stored()
        runs, fault = self.runs, self.store.fault if self.store is not None else None
        return NodeStatus(
            role=self._config.role,
            name=node_name(self._config),
            version=__version__,
            uptime_seconds=round(time.time() - self._told.began, 1),
            ready=self.readiness().ready,
            listen=str(self._config.listen),
            generation=self._told.number,
            store=StoreStatus(self.storage.kind if self.storage else None, used, quota, fault),
            workers=self._shown.workers(),
            registries=self._shown.registries(self.lookout.outages),
            scrub=runs.scrubbers[0].status() if runs and runs.scrubbers else None,
            replication=runs.replicator.status() if runs and runs.replicator else None,
            counters=counters(self._table),
            last_day=self._shown.day(),
            now=self._now.status(),
            loaded=self._told.loaded,
            cache=cache_status(self._table) if self._config.role != "origin" else None,
            retention=runs.retention.status() if runs and runs.retention else None,
            preloading=runs.preloader.status() if runs and runs.preloader else None,
            webhooks=runs.couriers.status() if runs and runs.couriers else (),
            verdict=self.findings().verdict,
            findings=self.findings().findings,
            siblings=self._shown.siblings(),
        )

    def stored(self) -> tuple[int | None, int | None]:
        """Bytes used and allowed on this machine's disk; None where that is not known, or not bounded."""
        if self.storage is None:
            return None, None
        disk = self.storage.disk
        return (disk.used if disk else None), self.storage.quota
