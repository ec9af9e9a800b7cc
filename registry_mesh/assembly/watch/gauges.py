"""What a node shows as gauges: its processes, its store, its machine, its parents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from registry_mesh.admin.status import ParentStatus, RegistryStatus
from registry_mesh.assembly.labels import parent_label
from registry_mesh.assembly.supervision import file_limit
from registry_mesh.assembly.supervision.processes import Processes
from registry_mesh.assembly.supervision.seats import Seats
from registry_mesh.assembly.supervision.told import Told
from registry_mesh.config.schema import Config
from registry_mesh.ports.holdings import StoreAccount
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments
from registry_mesh.upstream.health.board import Board


class Gauges:
    """Measures, and writes it into a row of the table. `elders` are seats of older configurations."""

    def __init__(
        self,
        config: Config,
        instruments: Instruments,
        board: Board,
        seats: Seats,
        elders: Sequence[tuple[int, Seats]],
        told: Told,
    ) -> None:
        self._config = config
        self._instruments = instruments
        self._board = board
        self._seats = seats
        self._elders = tuple(elders)
        self._told = told
        self._processes = Processes()
        self._cpu = 0.0

    def measure(
        self,
        stored: Callable[[], tuple[int | None, int | None]],
        account: StoreAccount,
        rule_faults: int | None,
        registries: Mapping[str, RegistryStatus],
    ) -> None:
        """Make every gauge true now. `stored` gives bytes used and allowed, or raises `Failure`; `account`: what they
        were of lately; `rule_faults`: how many rule files have, None without rules."""
        now = time.monotonic()
        gauge = self._instruments.gauge
        gauge(names.WORKERS).set(self._seats.serving(now))
        gauge(names.DRAINING).set(int(self._seats.draining()))
        used, quota = stored()
        for kind, size in by_kind(used or 0, account).items():
            gauge(names.STORE_USED, kind).set(size)
        gauge(names.EVICTED_IDLE).set(account.evicted_idle)
        gauge(names.STORE_QUOTA).set(quota or 0)
        gauge(names.CONFIG_LOADED).set(int(self._told.loaded))
        if rule_faults is not None:
            gauge(names.RULE_FAULTS).set(rule_faults)
        self._show_prices()
        self._measure_room()
        self._measure_processes()
        self._measure_parents(registries)
        self._measure_pulls_left(now)

    def _measure_room(self) -> None:
        where = self._config.store.folder
        with suppress(OSError):
            if where is not None:
                room = os.statvfs(where)
                self._instruments.gauge(names.STORE_FREE).set(room.f_bavail * room.f_frsize)
                self._instruments.gauge(names.STORE_SIZE).set(room.f_blocks * room.f_frsize)

    def _measure_processes(self) -> None:
        gauge = self._instruments.gauge
        seats = [*self._seats.workers, self._seats.keeper]
        seats += [seat for _, elders in self._elders for seat in elders.workers]
        used = self._processes.usage([*(seat.sitter.pid for seat in seats), os.getppid()])
        cpu = self._instruments.counter(names.CPU_SECONDS)
        cpu.add(round((used.cpu - self._cpu) * names.CPU_SECONDS.scale))
        self._cpu = used.cpu
        gauge(names.RESIDENT).set(used.resident)
        gauge(names.OPEN_FILES).set(used.files)
        gauge(names.OPEN_FILES_LIMIT).set(file_limit.limit())

    def _measure_parents(self, registries: Mapping[str, RegistryStatus]) -> None:
        gauge = self._instruments.gauge
        for host, registry in registries.items():
            for parent in (each for group in registry.parents for each in group):
                key = (host, parent_label(parent.url))
                latency = round((parent.latency_ms or 0.0) / 1000 * names.PARENT_LATENCY.scale)
                gauge(names.PARENT_LATENCY, *key).set(latency)
                gauge(names.PARENT_RATE, *key).set(parent.bytes_per_second or 0)
                for state in names.PARENT_STATES:
                    gauge(names.PARENT_STATE, *key, state).set(int(parent.use == state))

    def measure_siblings(self, siblings: Sequence[ParentStatus]) -> None:
        """The same of the other servers of the site."""
        gauge = self._instruments.gauge
        for sibling in siblings:
            label = parent_label(sibling.url)
            latency = round((sibling.latency_ms or 0.0) / 1000 * names.SIBLING_LATENCY.scale)
            gauge(names.SIBLING_LATENCY, label).set(latency)
            gauge(names.SIBLING_RATE, label).set(sibling.bytes_per_second or 0)
            for state in names.PARENT_STATES:
                gauge(names.SIBLING_STATE, label, state).set(int(sibling.use == state))

    def _show_prices(self) -> None:
        for host, registry in self._config.registries.items():
            for parent, price in registry.prices.items():
                gauge = self._instruments.gauge(names.PARENT_PRICE, host, parent, price.currency)
                gauge.set(round(price.per_byte * names.PARENT_PRICE.scale))

    def _measure_pulls_left(self, now: float) -> None:
        for host, registry in self._config.registries.items():
            labels = [parent_label(url) for group in registry.parents for url in group]
            quotas = [self._board.sheet(label).standing(now).quota for label in labels]
            left = min((quota.remaining for quota in quotas if quota), default=-1)
            self._instruments.gauge(names.PULLS_LEFT, host).set(left + 1)


def by_kind(used: int, account: StoreAccount) -> dict[str, int]:
    """The bytes used, by what they are of; together as many as are used now, though the account is older."""
    left, found = used, {}
    for kind, size in (("pinned", account.pinned), ("whole", account.whole), ("part", account.part)):
        found[kind] = min(size, left)
        left -= found[kind]
    return {**found, "other": left}
