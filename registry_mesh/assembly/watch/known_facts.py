"""What is known of a node at a moment: the facts that findings are made from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from registry_mesh.admin.run_status import PreloadingStatus, ReplicationStatus, RetentionStatus, StoppedStatus
from registry_mesh.admin.status import NodeStatus, ParentStatus, RegistryStatus
from registry_mesh.assembly.labels import parent_label
from registry_mesh.assembly.supervision import file_limit
from registry_mesh.assembly.supervision.told import Told
from registry_mesh.assembly.watch.lately import Lately, quantile
from registry_mesh.assembly.watch.learned import Learned
from registry_mesh.assembly.watch.room import DiskLooks, memory
from registry_mesh.assembly.watch.unkept import UnkeptToday
from registry_mesh.assembly.watch.unserved import Unserved
from registry_mesh.config.schema import Config
from registry_mesh.findings.facts import (
    AccessFacts,
    AuditFacts,
    CareFacts,
    IdleRule,
    NodeFacts,
    ParentFacts,
    ProgramFacts,
    PullFacts,
    RegistryFacts,
    RulesFacts,
    StoppedDeletes,
    StoreFacts,
    WebhookFacts,
)
from registry_mesh.ports import marker
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Table

_HOUR: Final = 3600.0
_WHILE: Final = 30.0
_TEN_MINUTES: Final = 600.0
_QUARTER: Final = 900.0
_DAY: Final = 86400.0


class KnownFacts:
    """Of one node. It remembers how counters stood: what rose lately is a fact."""

    def __init__(
        self,
        config: Callable[[], Config],
        told: Told,
        table: Table,
        learned: Learned,
    ) -> None:
        self._config = config
        self._told = told
        self._table = table
        self._learned = learned
        self.unserved = Unserved()
        self.unkept = UnkeptToday()
        self._disk = DiskLooks()
        self._lately: dict[tuple[str, str], Lately] = {}
        self._risen: dict[tuple[str, str], tuple[float, float]] = {}
        self._store_fault_since = 0.0
        self._started = self._complete = time.time()

    def at(self, now: float, status: NodeStatus) -> NodeFacts:
        """What is known at `now`, in seconds since the epoch, with what the node says of itself then."""
        config = self._config()
        refused_at, refused = self._told.refused
        access_since, access_faults = self._told.access_refused
        return NodeFacts(
            config=self._told.path or "CONFIG",
            started=self._started,
            registries=tuple(self._registry(host, status, config, now) for host in status.registries),
            store=self._store(config, status, now),
            care=self._care(config, status, now),
            program=ProgramFacts(
                deaths=self._rise("deaths", "", _QUARTER, _count(status, names.WORKER_RESTARTS), now),
                files=file_limit.limit(),
                loaded=self._told.loaded,
                refused=refused,
                refused_at=refused_at,
            ),
            access=AccessFacts(access_faults, access_since),
            files=self._learned.files,
            certificates=self._learned.certificates,
            rules=self._rules(config, status),
            pulls=self._pulls(status, now),
            webhooks=tuple(
                WebhookFacts(each.name, each.to, each.failing_since, each.why, each.waiting, each.lost)
                for each in status.webhooks
                if each.why
            ),
            memory=memory(),
            disk=self._disk.look(config.store.folder, now),
            audit=AuditFacts(
                config.log.audit or "",
                held=round(self._table.total(names.AUDIT_HELD)),
                lost=self._rise("audit", "", _DAY, _count(status, names.AUDIT_LOST), now),
            ),
            unserved=self.unserved.facts(now),
            unkept=self.unkept.facts(now),
        )

    def _rules(self, config: Config, status: NodeStatus) -> RulesFacts:
        """Of those that bring images, and of those that say which of its own tags an origin keeps."""
        rules = RulesFacts()
        if status.replication is not None:
            rules = _of_replication(status.replication)
            if status.replication.last is not None and status.replication.last.complete:
                self._complete = rules.ended
            rules = replace(rules, complete=self._complete, every=config.replication.interval)
        if status.preloading is not None:
            rules = _of_preloading(status.preloading)
        return rules if status.retention is None else _with_retention(rules, status.retention)

    def _pulls(self, status: NodeStatus, now: float) -> PullFacts:
        """Of what workers count: requests, and failures by side and reason."""
        asked = sum(_labelled(status, names.REQUESTS).values())
        rises = {
            reason: self._rise("failures", reason, _WHILE, count, now)
            for reason, count in _labelled(status, names.FAILURES).items()
            if not reason.startswith("caller/")
        }
        worst = sorted((each for each in rises if rises[each]), key=lambda each: -rises[each])
        return PullFacts(
            self._rise("requests", "", _WHILE, asked, now),
            sum(rises.values()),
            tuple(each.replace("/", ": ") for each in worst),
            *self._hits(now),
        )

    def _hits(self, now: float) -> tuple[int, float]:
        """Answers from what is held lately, and the seconds to their heads that 99 of 100 kept within."""
        cells = self._table.cells(names.FIRST_BYTE, "hit")[:-1]
        rises = [self._rise("hits", str(i), _TEN_MINUTES, cell, now) for i, cell in enumerate(cells)]
        return sum(rises), quantile(0.99, names.FIRST_BYTE.bounds, rises)

    def _registry(self, host: str, node: NodeStatus, config: Config, now: float) -> RegistryFacts:
        registry, status = config.registries[host], node.registries[host]
        parents = parents_of(status)
        return RegistryFacts(
            host,
            tuple(self._parent(host, parent, node, now) for parent in parents),
            grace=max(registry.tags.offline_grace, registry.tags.stale_if_error),
            grace_among_errors=registry.tags.stale_if_error,
            login=registry.credentials is not None,
            unproven=registry.ranges == "unproven",
            answered=self._learned.answered.get(host, 0.0),
            forgotten=host in self._learned.forgotten,
        )

    def _parent(self, host: str, parent: ParentStatus, status: NodeStatus, now: float) -> ParentFacts:
        name = parent_label(parent.url)
        return ParentFacts(
            name=name,
            url=parent.url,
            state=parent.state,
            since=now - parent.since_seconds if parent.since_seconds is not None else 0.0,
            why=_after_name(parent.why, name),
            lost=parent.lost,
            again=now + parent.next_try_seconds if parent.next_try_seconds is not None else None,
            lies=self._rise("lies", name, _HOUR, parent.lies, now),
            clock_ahead=parent.clock_ahead_seconds,
            rate=parent.bytes_per_second or 0.0,
            denied_since=now - parent.denied_since_seconds
            if parent.denied_since_seconds is not None
            else 0.0,
            no_registry=0 if self._gives(name, status, now) else parent.no_registry,
            error=parent.last_error,
            error_at=now - parent.last_error_seconds if parent.last_error_seconds is not None else 0.0,
            slow_since=now - parent.slow_since_seconds if parent.slow_since_seconds is not None else 0.0,
            slow_until=now + parent.slow_for_seconds if parent.slow_for_seconds is not None else 0.0,
            place=self._learned.places.get((host, parent.url), ""),
            cut_off=now - parent.cut_off_seconds if parent.cut_off_seconds is not None else 0.0,
        )

    def _gives(self, name: str, status: NodeStatus, now: float) -> bool:
        """Whether a parent gives what it is asked for, whatever it answers to /v2/: once it did, and no error came
        since."""
        asked = _labelled(status, names.UPSTREAM_REQUESTS)
        gave, erred = asked.get(f"{name}/ok", 0.0), asked.get(f"{name}/error", 0.0)
        return gave > 0 and self._rose("gave", name, gave, now) >= self._rose("erred", name, erred, now)

    def _store(self, config: Config, status: NodeStatus, now: float) -> StoreFacts:
        fault = status.store.fault or ""
        self._store_fault_since = (self._store_fault_since or now) if fault else 0.0
        folder, kept = config.store.folder, str(config.store)
        return StoreFacts(
            where=folder or kept,
            bucket="" if folder and kept.startswith(folder) else kept,
            fault=fault,
            fault_since=self._store_fault_since,
            used=status.store.used_bytes or 0,
            quota=status.store.quota_bytes or 0,
            quota_key=config.store.quota_key,
            evicts=config.role == "site",
            evicted=status.last_day.evicted_bytes if status.last_day else 0,
            refetched=status.last_day.refetched_bytes if status.last_day else 0,
            free=_free(folder),
            newer_format=self._learned.format if self._learned.format > marker.FORMAT else 0,
            format=marker.FORMAT,
        )

    def _care(self, config: Config, status: NodeStatus, now: float) -> CareFacts:
        scrub = status.scrub
        age = scrub.age_seconds if scrub else None
        return CareFacts(
            rotten=self._rise("rotten", "", _DAY, _count(status, names.ROTTEN), now),
            verified=self._learned.verified.at,
            wrong=self._learned.verified.wrong,
            first_wrong=self._learned.verified.first,
            repaired=self._rise("repaired", "", _DAY, _count(status, names.REPAIRED), now),
            scrubbed=now - age if age is not None else 0.0,
            scrub_every=config.scrub.every if scrub and config.scrub.rate and not scrub.budgeted else 0.0,
        )

    def _rose(self, what: str, subject: str, value: float, now: float) -> float:
        """When a counter was seen to rise last; 0.0: not since the first look."""
        before, at = self._risen.get((what, subject), (value, 0.0))
        self._risen[what, subject] = value, now if value > before else at
        return self._risen[what, subject][1]

    def _rise(self, what: str, subject: str, window: float, value: float, now: float) -> int:
        return self._lately.setdefault((what, subject), Lately(window)).rise(value, now)


def parents_of(registry: RegistryStatus) -> list[ParentStatus]:
    return [parent for group in registry.parents for parent in group]


def _free(folder: str | None) -> int:
    """Bytes that the file system of the store has left."""
    try:
        room = os.statvfs(folder) if folder else None
    except OSError:
        return 0
    return room.f_bavail * room.f_frsize if room else 0


def _after_name(why: str, name: str) -> str:
    """A cause as it is said after the parent's name, which it may begin with."""
    return why.removeprefix(name).removeprefix(":").strip()


def _count(status: NodeStatus, metric: names.Metric) -> float:
    value = status.counters.get(metric.name, 0)
    return float(value) if isinstance(value, int) else 0.0


def _labelled(status: NodeStatus, metric: names.Metric) -> Mapping[str, int]:
    value = status.counters.get(metric.name, {})
    return value if isinstance(value, Mapping) else {}


def _of_replication(replication: ReplicationStatus) -> RulesFacts:
    last = replication.last
    return RulesFacts(
        faults=tuple(replication.faults),
        faults_since=replication.faults_since,
        tags=last.tags if last else 0,
        held=last.held if last else 0,
        failed=last.failed - len(last.stopped) if last else 0,
        idle=tuple(IdleRule(each.rule, each.registry, each.place) for each in last.idle) if last else (),
        stopped=_stopped(last.stopped) if last else (),
        troubles=tuple(last.troubles) if last else (),
        ended=last.ended if last else 0.0,
    )


def _of_preloading(last: PreloadingStatus) -> RulesFacts:
    return RulesFacts(
        faults=tuple(last.faults),
        faults_since=last.faults_since,
        tags=last.images,
        held=last.here,
        failed=last.failed,
        brings_ahead=True,
        troubles=tuple(last.troubles),
        ended=last.ended,
    )


def _with_retention(rules: RulesFacts, last: RetentionStatus) -> RulesFacts:
    return replace(
        rules,
        faults=(*rules.faults, *last.faults),
        faults_since=min(filter(None, (rules.faults_since, last.faults_since)), default=0.0),
        stopped=(*rules.stopped, *_stopped(last.stopped)),
    )


def _stopped(stopped: Sequence[StoppedStatus]) -> tuple[StoppedDeletes, ...]:
    return tuple(
        StoppedDeletes(each.registry, each.deletes, each.tags, each.guard, each.plan) for each in stopped
    )
