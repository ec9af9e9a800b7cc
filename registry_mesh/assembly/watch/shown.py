"""What a node shows of its processes and its parents, as its status tells."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from registry_mesh.admin.outage import outage_status
from registry_mesh.admin.parent_use import with_use
from registry_mesh.admin.status import (
    DayStatus,
    ParentStatus,
    RegistryStatus,
    WorkerStatus,
    cache_status,
    parent_status,
)
from registry_mesh.assembly.labels import login_key, other_servers, parent_label, sibling_login_key
from registry_mesh.assembly.supervision.seats import Seats
from registry_mesh.assembly.watch.figures import Figures
from registry_mesh.assembly.watch.money import money
from registry_mesh.assembly.watch.reached import is_reached
from registry_mesh.config.schema import Config
from registry_mesh.findings.outage import Outage
from registry_mesh.ports.cut_off import parsed
from registry_mesh.ports.standing import Standing
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Table
from registry_mesh.upstream.health.board import Board
from registry_mesh.upstream.health.welcome import received


class Shown:
    """`crews`: seats by the number of their generation, the newest first. `figures`: those of the last day, None
    before the store is open."""

    def __init__(
        self, config: Config, table: Table, board: Board, crews: Sequence[tuple[int, Seats]]
    ) -> None:
        self._config = config
        self._table = table
        self._board = board
        self._crews = tuple(crews)
        self.figures: Figures | None = None

    def workers(self) -> list[WorkerStatus]:
        """Every process that answers clients; of older generations those that are left."""
        now, (newest, _) = time.monotonic(), self._crews[0]
        return [
            WorkerStatus(
                pid=sitter.pid,
                state=sitter.state.name.lower(),
                since_seconds=round(now - sitter.since, 1),
                silent_seconds=round(now - sitter.beat, 1),
                generation=number,
            )
            for number, seats in self._crews
            for sitter in (seat.sitter for seat in seats.workers)
            if number == newest or sitter.pid
        ]

    def registries(self, outages: Mapping[str, Outage] = MappingProxyType({})) -> dict[str, RegistryStatus]:
        """Every registry with its parents, what its cache did, and its outage where it has one."""
        asking, lies = self._by_parent(names.PARENT_AVAILABLE), self._by_parent(names.LIES)
        requests, hedges = self._by_outcome(names.UPSTREAM_REQUESTS), self._by_outcome(names.HEDGES)
        day = self.figures.received() if self.figures else {}
        now, today = time.monotonic(), time.time()

        def parent(host: str, url: str) -> ParentStatus:
            label = parent_label(url)
            standing = self._standing(label, login_key(self._config.registries[host]), now)
            told = parent_status(url, standing, now, asking.get(label, 0), lies.get(label, 0))
            since = parsed(self._board.sheet(label).cut_off()).get(host) if told.state == "up" else None
            cut_off = None if since is None else round(max(0.0, today - since), 1)
            price = self._config.registries[host].prices.get(label)
            return replace(
                told,
                day_bytes=day.get((host, label), 0),
                price=str(price or ""),
                requests=sum(requests.get(label, {}).values()),
                hedges=hedges.get(label, {}),
                cut_off_seconds=cut_off,
            )

        return {
            host: RegistryStatus(
                registry.default,
                with_use([[parent(host, url) for url in group] for group in registry.parents]),
                cache_status(self._table, host),
                outage_status(outages[host], today)
                if host in outages and not is_reached(self._config, self._board, host)
                else None,
            )
            for host, registry in self._config.registries.items()
        }

    def siblings(self) -> list[ParentStatus]:
        """The other servers of the site."""
        asking, lies = self._by_parent(names.PARENT_AVAILABLE), self._by_parent(names.LIES)
        now, found = time.monotonic(), []
        for url in other_servers(self._config).values():
            label = parent_label(url)
            standing = self._standing(label, sibling_login_key(self._config), now)
            told = parent_status(url, standing, now, asking.get(label, 0), lies.get(label, 0))
            found += with_use([[told]])[0]
        return found

    def _standing(self, parent: str, login: str, now: float) -> Standing:
        """How a parent does for those that show it this."""
        sheet = self._board.welcomes.sheet(parent, login)
        return received(self._board.sheet(parent).standing(now), sheet.welcome())

    def day(self) -> DayStatus | None:
        """The last 24 hours, with what they cost."""
        if self.figures is None:
            return None
        day = self.figures.status()
        prices = {
            (host, parent): price
            for host, registry in self._config.registries.items()
            for parent, price in registry.prices.items()
        }
        return replace(day, money=money(self.figures.received(), prices, day.saved_bytes))

    def _by_outcome(self, metric: names.Metric) -> dict[str, dict[str, int]]:
        """Of each parent, by the label that comes after it."""
        found: dict[str, dict[str, int]] = {}
        for sample in self._table.used(metric):
            parent, outcome = sample.labels
            found.setdefault(parent, {})[outcome] = int(sample.value)
        return found

    def _by_parent(self, metric: names.Metric) -> dict[str, int]:
        """Of all registries together."""
        found: dict[str, int] = {}
        for sample in self._table.used(metric):
            found[sample.labels[-1]] = found.get(sample.labels[-1], 0) + int(sample.value)
        return found
