"""Runs of a replica's rules: once on demand, or again and again beside the workers.

Rule files are read anew for every run. Runs of several processes on one machine take turns (`stores.disk.exclusive`);
those of several hosts over one bucket may meet, which costs bytes and does no harm.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from registry_mesh.admin.run_status import ReplicationStatus
from registry_mesh.assembly.labels import layout
from registry_mesh.assembly.runs.bringing import bringing
from registry_mesh.assembly.runs.noting import Noting
from registry_mesh.assembly.runs.putting_back import put_back
from registry_mesh.assembly.runs.rules_in_force import RulesInForce
from registry_mesh.assembly.runs.run_told import replication_status, run_status, tell
from registry_mesh.assembly.runs.variants import make_variants, with_variants
from registry_mesh.assembly.sources.audited import Keep
from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.storage import open_storage, remainders_of
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.schema import Config
from registry_mesh.config.signers import read_signers
from registry_mesh.content.fill.rivals import Rivals
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.records.asks import Asked, Asks
from registry_mesh.content.snapshot.records.history import NEW_RULES, STOPPED, Run, RunHistory
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.content.snapshot.removing.outgoing import OutgoingRepository
from registry_mesh.content.snapshot.settings import Ours, SnapshotPolicy
from registry_mesh.content.snapshot.snapshot import Snapshot
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.place import Outward, Place
from registry_mesh.ports.repositories import RepositoryStore
from registry_mesh.ports.storage import Storage
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.schedule import Interval
from registry_mesh.repositories.filled import FilledRepositories
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments, Table
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.names import REPLICATE
from registry_mesh.telemetry.phases import phase
from registry_mesh.upstream.pushes.registries import PushedRegistries

log: Final = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between two looks at the folder of rules."""
_LOOK_ALONE: Final = 60.0
"""Seconds between two readings of rules that this does not run, where nothing of them changes."""
HEEDED: Final = frozenset(
    {"note", "platforms", "types", "max", "with", "age", "fixed", "nodes", "keep", "hold", "delete"}
    | {"verify", "labels", "to", "data", "budget", "variants"}
    | {"every", "when", "priority", "deny"}
)
"""Keys of rules that a run obeys; of a rule that says another it does nothing, and says so."""


class RulesFaulty(Exception):
    """The rule files cannot be used; others are in force. A person who asks for a run is told."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))


class Replicator:
    """Entered: connections may be made; left: they are closed."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        instruments: Instruments | None = None,
        seen: Seen | None = None,
        keep: Keep | None = None,
    ) -> None:
        """See `Parents`. `keep`: takes lines of the audit log of an origin that fills itself."""
        self._keep = keep
        self._config = config
        self._seen = seen
        self._storage = storage
        self._instruments = instruments or Table(layout(config), 1).row(0)
        self._stack = AsyncExitStack()
        self.meter = Meter()
        """Of the run under way, or of the last one."""
        self.last: Outcome | None = None
        assert config.rules is not None, "the checks demand it where rules bring anything"
        self._own = RegistryName(config.registry) if config.role == "origin" and config.registry else None
        self._rules = RulesInForce(config, storage.records, HEEDED, config.rules)
        self.history = RunHistory(storage.records)
        self.interval = config.replication.interval
        """Seconds between two runs: the configuration's, or what a rule says that asks more often."""
        self._running = Rules()
        self._ended = 0.0  # of the last run, seconds since the epoch
        self._asks = Asks(storage.records)
        self._noting = Noting(self.history)

    async def __aenter__(self) -> Replicator:
        parents = await self._stack.enter_async_context(Parents(self._config, self._instruments, self._seen))
        self._distrusted = Distrusted(count=parents.lied, paced=parents.paced, left=parents.left)
        pushed = [RegistryName(name) for name, each in self._config.registries.items() if each.push]
        first = {name: parents.groups[name][0][0] for name in pushed if parents.groups[name]}
        self._outward = PushedRegistries(first, self._storage.records)
        self._sources = {
            name: FailoverRegistry(name, groups, self._distrusted) for name, groups in parents.groups.items()
        }
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ask(self, place: Place) -> bool:
        """Run soon what rules take of a repository; False where none takes anything of it."""
        if self._running == Rules():  # so early that none have been read
            with suppress(ConfigInvalid):
                self._running = await self.rules()
        if not self._running.of(place.registry, place.repository):
            return False
        await self._asks.ask(Asked(frozenset({place})))
        return True

    async def ask_all(self) -> None:
        """Run all soon."""
        await self._asks.ask(Asked(all=True))

    def hand_over(self) -> None:
        """Say that another process is about to go on with the run under way."""
        self._noting.hand_over()

    async def rules(self) -> Rules:
        """Those in force. `ConfigInvalid` where there never were any."""
        rules = await self._rules.read()
        told = [rule.every.seconds for rule in rules if isinstance(rule.every, Interval)]
        self.interval = min(self._config.replication.interval, *told, math.inf)
        return rules

    async def run(
        self,
        busy: Callable[[int | None], None] = lambda owner: None,
        *,
        by_hand: bool = False,
        only: frozenset[Place] | None = None,
        is_asked: bool = False,
    ) -> Outcome:
        """One run; `busy` is told where it has to wait for another process. `by_hand`: of all rules, whatever they say
        of when they are due. `only`: of the repositories that somebody told of. `is_asked`: somebody had it begin, and
        no clock. `ConfigInvalid`, `StoreBroken`."""
        rules = await self.rules()
        if by_hand and self._rules.faults:
            raise RulesFaulty(self._rules.faults)
        self._rules.say()
        self._running = rules
        async with self._storage.alone("replication", busy):
            trigger = "push" if only is not None else "hand" if by_hand or is_asked else "schedule"
            run = await self._noting.begin(Run(time.time(), trigger))
            try:
                outcome = await self._run(rules, by_hand, only)
            except (Failure, asyncio.CancelledError) as fault:
                why = fault.reason if isinstance(fault, Failure) else self._noting.cut
                await self._noting.end(run.broke_off(why, time.time(), self.meter))
                raise
            await self._noting.end(run.came_to(outcome, time.time(), self.meter.rules))
            if self._noting.unnoted:
                outcome = replace(outcome, notes=(*outcome.notes, self._noting.unnoted))
        self._count(outcome, only is None)
        if only is None:
            self.last, self._ended = outcome, time.time()
        return outcome

    async def _run(self, rules: Rules, by_hand: bool, only: frozenset[Place] | None) -> Outcome:
        async with bringing(
            self._storage, self._distrusted, self._rivals, remainders_of(self._config)
        ) as bring:
            self.meter = Meter()
            signers, unusable = await offload(read_signers, self._config.keys)
            ours = Ours(
                self._storage.blobs,
                bring,
                self._repositories(),
                self._storage.records,
                self._storage.room,
                signers,
                unusable,
                self._outward,
                self._own,
            )
            policy = SnapshotPolicy(by_hand=by_hand, rate=self._config.replication.rate, only=only)
            outside = replace(rules, rules=tuple(rule for rule in rules if rule.registry != self._own))
            outcome = await Snapshot(outside, self._sources, ours, time.time, self.meter, policy).run()
        if self._own is None:
            return outcome
        return with_variants(
            outcome, await make_variants(self._config, self._storage, self._own, rules, self._keep)
        )

    async def put_back(self, place: Outward, tag: Tag, digest: Digest) -> None:
        """See `put_back`."""
        real = self._outward.repository(place.registry, place.repository)
        await put_back(
            OutgoingRepository(place, real, self._storage.records), tag, digest, self._storage.blobs
        )

    def _repositories(self) -> RepositoryStore:
        """Where what is brought is kept: at an origin among its own."""
        if self._own is None:
            return ReplicaRepositories(self._storage.records, self._storage.blobs, time.time)
        return FilledRepositories(self._own, open_repositories(self._config, self._storage, keep=self._keep))

    async def repeat(self) -> None:
        """Run for ever, `interval` from the end of one to the beginning of the next; sooner where the rules change, and
        of a repository alone where somebody tells of a push to it.

        With `replication.interval: 0s` only look at the rules, and run what is asked for: a person, or a timer of
        theirs, has them run.
        """
        due = 0.0 if self._config.replication.interval else math.inf
        await self._asks.read()
        while True:
            asked = self._asks.take()
            is_whole = asked.all or time.monotonic() >= due
            if is_whole or asked:
                if not await self._run_once(asked, None if is_whole else asked.places):
                    continue
            elif await self._are_new() and self._config.replication.interval:
                due = 0.0
                continue
            now = time.monotonic()
            if is_whole and self._config.replication.interval:
                due = now + max(1.0, self.interval * random.uniform(0.95, 1.05))
            await self._wait(min(due - now, _LOOK_ALONE))

    async def _are_new(self) -> bool:
        """Whether other rules are in force than those that ran last; they are those to be asked for from now on."""
        before = self._running
        with suppress(ConfigInvalid):
            self._running = await self.rules()
        self._rules.say()
        return self._running != before

    async def _run_once(self, asked: Asked, only: frozenset[Place] | None) -> bool:
        """Of all repositories, or `only` of some; for what is `asked`. False where other rules came into force
        meanwhile, and it is to be done anew."""
        try:
            before, began = self.last, time.monotonic()
            async with phase(REPLICATE) as running:
                outcome = await self._run_until_rules_change(only, asked.all)
                if outcome is None:
                    self._asks.back(asked)
                    return False
                running.note(tags=outcome.tags, switched=outcome.switched, bytes=outcome.size)
            tell(outcome, time.monotonic() - began, before)
        except ConfigInvalid:
            self._rules.say()
        except Failure as fault:
            log.error("replication failed", extra={FIELDS: {"why": fault.reason}})
        await self._asks.forget(asked)
        return True

    async def _run_until_rules_change(self, only: frozenset[Place] | None, is_asked: bool) -> Outcome | None:
        """A run; None where other rules came into force meanwhile. What the run brought is gone on with by the next."""
        run = asyncio.ensure_future(self.run(only=only, is_asked=is_asked))
        try:
            while not (await asyncio.wait({run}, timeout=LOOK))[0]:
                if await self._rules.changed():
                    rules = await self.rules()
                    self._rules.say()
                    if rules != self._running:
                        self._noting.cut_for(NEW_RULES)
                        return None
            return run.result()
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            self._noting.cut_for(STOPPED)

    async def _wait(self, seconds: float) -> None:
        """So long, or until somebody asks for a run, or the rules change."""
        for _ in range(math.ceil(max(0.0, seconds) / LOOK)):
            if self._asks.waiting or await self._rules.changed():
                return
            await asyncio.sleep(LOOK)

    def status(self) -> ReplicationStatus:
        """The run under way and the last one."""
        last = None if self.last is None else run_status(self.last, self._ended)
        return replication_status(
            self.meter,
            time.monotonic(),
            last,
            self._rules.faults,
            self._rules.faults_since,
            self._noting.under_way,
        )

    def _rivals(self, registry: RegistryName) -> Rivals:
        return self._sources[registry].rivals

    def _count(self, outcome: Outcome, is_whole: bool) -> None:
        result = "complete" if outcome.complete else "failed"
        self._instruments.counter(names.REPLICATIONS, result).add()
        self._instruments.counter(names.REPLICATED_BYTES).add(outcome.size)
        if outcome.complete and is_whole:
            self._instruments.gauge(names.REPLICATED_AT).set(int(time.time()))


@asynccontextmanager
async def open_replicator(config: Config, keep: Keep | None = None) -> AsyncIterator[Replicator]:
    """One of its own, over a store of its own, beside whatever serves that store. `keep`: takes lines of an origin's
    audit log. `StoreBroken`."""
    storage = await open_storage(config)
    try:
        async with Replicator(config, storage, keep=keep) as replicator:
            yield replicator
    finally:
        await storage.close()
