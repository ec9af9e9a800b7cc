"""Rules at a site: what those that name it take is brought ahead of time, again and again, and evicted as all else."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Final

from registry_mesh.admin.run_status import PreloadingStatus, ReplicationStatus
from registry_mesh.assembly.runs.holding import hold
from registry_mesh.assembly.runs.noting import Noting
from registry_mesh.assembly.runs.rules_in_force import RulesInForce
from registry_mesh.assembly.runs.run_told import replication_status
from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.assembly.sources.roles import open_site
from registry_mesh.assembly.sources.storage import cache_of, own_records, run_history
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.schema import Config
from registry_mesh.content.holdings.preload import Meter
from registry_mesh.content.holdings.preloaded import (
    PreloadedRepositories,
    PreloadedSource,
    bring_into,
)
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.content.snapshot.copying.progress import Meter as Progress
from registry_mesh.content.snapshot.records.asks import Asked, Asks
from registry_mesh.content.snapshot.records.history import Run
from registry_mesh.content.snapshot.records.outcome import Outcome, Trouble
from registry_mesh.content.snapshot.settings import Ours, SnapshotPolicy
from registry_mesh.content.snapshot.snapshot import Snapshot
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.place import Place
from registry_mesh.ports.storage import Storage
from registry_mesh.replication.rules import Rules
from registry_mesh.roles.site import Site
from registry_mesh.telemetry.instruments import Instruments
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

HEEDED: Final = frozenset(
    {"note", "platforms", "types", "labels", "max", "with", "variants", "age", "nodes", "keep", "hold"}
    | {"every", "when", "priority", "data", "deny"}
)
"""Keys of rules that a site obeys, of those that name it."""
NOT_AT_SITES: Final = {
    "to": "a site serves under the names of its registries",
    "delete": "a site makes room by itself",
    "fixed": "a site tells its clients what its parents say of a tag",
    "verify": "a site brings what rules take, whoever signed it",
    "budget": "what a site brings comes as what its clients ask for, at the pace of the link",
}
"""Why it does not do the others."""
_LOOK: Final = 1.0
"""Seconds between two looks at the folder of rules."""
_SHOWN: Final = 20
"""Failures that the log tells of one run."""


class Preloader:
    """Entered: connections may be made; left: they are closed."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        instruments: Instruments | None = None,
        seen: Seen | None = None,
    ) -> None:
        assert config.rules is not None, "who asks has looked"
        self._config = config
        self._storage = storage
        self._instruments = instruments
        self._seen = seen
        self._rules = RulesInForce(config, storage.records, HEEDED, config.rules, reasons=NOT_AT_SITES)
        self._stack = AsyncExitStack()
        self._last = PreloadingStatus()
        self.history = run_history(config, storage)
        self._asks = Asks(own_records(config, storage))
        self._noting = Noting(self.history)
        self._progress = Progress()

    async def __aenter__(self) -> Preloader:
        parents = await self._stack.enter_async_context(Parents(self._config, self._instruments, self._seen))
        self._site: Site = open_site(self._config, self._storage, parents, self._stack)
        distrusted = Distrusted(count=parents.lied, paced=parents.paced, left=parents.left)
        self._sources = {
            name: FailoverRegistry(name, groups, distrusted) for name, groups in parents.groups.items()
        }
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def hand_over(self) -> None:
        """Say that another process is about to go on with the run under way."""
        self._noting.hand_over()

    async def ask(self, place: Place) -> bool:
        """Run soon, for somebody pushed there; False where no rule takes anything of it."""
        with suppress(ConfigInvalid):
            if (await self._rules.read()).of(place.registry, place.repository):
                await self._asks.ask(Asked(frozenset({place})))
                return True
        return False

    async def ask_all(self) -> None:
        """Run soon."""
        await self._asks.ask(Asked(all=True))

    async def run(self, trigger: str = "schedule") -> Meter:
        """One run: how far it came, and what failed, by image. `trigger`: see `Run`. `ConfigInvalid`, `StoreBroken`."""
        try:
            rules = await self._rules.read()
        finally:
            self._rules.say()
        async with self._storage.alone("preload", lambda owner: None):
            meter = Meter()
            run = await self._noting.begin(Run(time.time(), trigger))
            try:
                await self._run(rules, meter)
            except (Failure, asyncio.CancelledError) as fault:
                why = fault.reason if isinstance(fault, Failure) else self._noting.cut
                await self._noting.end(replace(self._ended(run, meter), complete=False, why=why))
                raise
            await self._noting.end(self._ended(run, meter))
        return meter

    async def _run(self, rules: Rules, meter: Meter) -> None:
        """The same run as a replica's, into what the site remembers of what clients asked for."""
        self._site.forget()
        served = self._site.repository
        kept = PreloadedRepositories(served, self._storage.records)
        bring = bring_into(self._storage.quota, self._config.store.quota_key)
        ours = Ours(cache_of(self._storage), bring, kept, self._storage.records)
        sources = {name: PreloadedSource(name, each, served) for name, each in self._sources.items()}
        policy = SnapshotPolicy(referrers_every=0.0)  # what was complete may have been evicted since
        progress = self._progress = Progress()
        try:
            outcome = await Snapshot(rules, sources, ours, time.time, progress, policy).run()
        except (Failure, asyncio.CancelledError):
            meter.repositories, meter.images = progress.repositories, progress.tags
            meter.images_done, meter.size_brought = progress.tags_done, progress.size_done
            raise
        meter.repositories, meter.images = outcome.repositories, outcome.tags
        meter.images_done, meter.size_brought = outcome.held, outcome.size
        meter.failed |= {each.what: each.why for each in outcome.troubles}
        meter.failed |= await hold(self._storage, kept.places, time.time())

    def _ended(self, run: Run, meter: Meter) -> Run:
        """The run, as it is told in the history."""
        troubles = tuple(Trouble(name, why) for name, why in meter.failed.items())
        outcome = Outcome(
            meter.repositories, meter.images, meter.images_done, 0, meter.size_brought, troubles
        )
        return run.came_to(outcome, time.time(), self._progress.rules)

    async def repeat(self) -> None:
        """Never ends: again `replication.interval` after each run, where the rules change, and where somebody asks for
        it or tells of a push."""
        await self._asks.read()
        while True:
            asked = self._asks.take()
            try:
                with suppress(ConfigInvalid):  # which is said
                    meter = await self.run("hand" if asked.all else "push" if asked else "schedule")
                    _tell(meter)
                    self._last = _status(meter, time.time())
            except Failure as fault:
                log.error("preloading failed", extra={FIELDS: {"why": fault.reason}})
            await self._asks.forget(asked)
            await self._wait(self._config.replication.interval or math.inf)

    def status(self) -> PreloadingStatus:
        """The last run, and what is wrong with the rules now."""
        return replace(self._last, faults=self._rules.faults, faults_since=round(self._rules.faults_since, 1))

    def under_way(self) -> ReplicationStatus:
        """See `RunsShown`."""
        return replication_status(self._progress, time.monotonic(), None, (), 0.0, self._noting.under_way)

    async def _wait(self, seconds: float) -> None:
        """So long, give or take, or until the rules change or somebody asks."""
        until = time.monotonic() + max(1.0, seconds * random.uniform(0.95, 1.05))
        while True:
            if time.monotonic() >= until or self._asks.waiting or await self._changed():
                return
            await asyncio.sleep(_LOOK)

    async def _changed(self) -> bool:
        with suppress(Failure):
            return await self._rules.changed()
        return False


def _status(meter: Meter, ended: float) -> PreloadingStatus:
    return PreloadingStatus(
        round(ended, 1), meter.images, meter.images_done, len(meter.failed), tuple(_troubles(meter))
    )


def _troubles(meter: Meter) -> list[str]:
    return [f"{name}: {why}" for name, why in list(meter.failed.items())[:_SHOWN]]


def _tell(meter: Meter) -> None:
    told: dict[str, object] = {"images": meter.images, "here": meter.images_done}
    if meter.failed:
        log.warning("preloading incomplete", extra={FIELDS: {**told, "why": _troubles(meter)}})
    else:
        log.info("preloaded", extra={FIELDS: told})
