"""Looks at a node again and again, and says what a person should know: to the log, the metrics, and the admin port."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Final

from registry_mesh.admin.status import NodeStatus, ParentStatus, RegistryStatus
from registry_mesh.assembly import file_limit
from registry_mesh.assembly.labels import parent_label
from registry_mesh.assembly.told import Told
from registry_mesh.config.certificates import ends_at
from registry_mesh.config.schema import Config
from registry_mesh.findings.decide import Held, decide
from registry_mesh.findings.facts import (
    CareFacts,
    CertificateFacts,
    NodeFacts,
    ParentFacts,
    ProgramFacts,
    PullFacts,
    RegistryFacts,
    RulesFacts,
    StoreFacts,
    WebhookFacts,
)
from registry_mesh.findings.finding import NAMES, Finding, State
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_LOOK: Final = 2.0
"""Seconds between two looks."""
_HOUR: Final = 3600.0
_WHILE: Final = 30.0
_QUARTER: Final = 900.0
_DAY: Final = 86400.0


@dataclass(slots=True)
class Lately:
    """By how much a counter rose within a window of seconds."""

    window: float
    _steps: deque[tuple[float, float]] = field(default_factory=deque)

    def rise(self, value: float, now: float) -> int:
        """How much it rose within the window that ends now; 0 at the first look."""
        if not self._steps or value != self._steps[-1][1]:
            self._steps.append((now, value))
        while len(self._steps) > 1 and self._steps[1][0] < now - self.window:
            self._steps.popleft()
        return int(value - self._steps[0][1])


class Lookout:
    """Of the node whose `status` it is given."""

    def __init__(
        self,
        config: Callable[[], Config],
        told: Told,
        status: Callable[[], NodeStatus],
        instruments: Instruments,
    ) -> None:
        self._config = config
        self._told = told
        self._status = status
        self._instruments = instruments
        self._held = Held()
        self._lately: dict[tuple[str, str], Lately] = {}
        self._store_fault_since = 0.0
        self._certificates: tuple[CertificateFacts, ...] = ()
        self._served: dict[str, float] = {}
        self._started = self._complete = time.time()
        self.findings: list[Finding] = []

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            self._certificates = await offload(self._look_at_certificates)
            self.look(time.time())
            await asyncio.sleep(_LOOK)

    def look(self, now: float) -> None:
        """Look once, at `now` in seconds since the epoch."""
        before = {(each.name, each.subject) for each in self.findings}
        self.findings = self._held.look(decide(self.facts(now), now), now)
        self._told.show(self.findings)
        for each in self.findings:
            if (each.name, each.subject) not in before:
                _tell(each)
        for gone, subject in sorted(before - {(each.name, each.subject) for each in self.findings}):
            log.info("no longer so", extra={FIELDS: {"finding": gone, "subject": subject}})
        for name, state in NAMES.items():
            count = sum(each.name == name for each in self.findings)
            self._instruments.gauge(names.FINDING, name, state.value).set(count)

    def facts(self, now: float) -> NodeFacts:
        """What is known of the node."""
        config, status = self._config(), self._status()
        refused_at, refused = self._told.refused
        return NodeFacts(
            config=self._told.path or "CONFIG",
            started=self._started,
            registries=tuple(
                self._registry(host, status.registries[host], config, now) for host in status.registries
            ),
            store=self._store(config, status, now),
            care=self._care(config, status, now),
            program=ProgramFacts(
                deaths=self._rise("deaths", "", _QUARTER, _count(status, names.WORKER_RESTARTS), now),
                files=file_limit.limit(),
                loaded=self._told.loaded,
                refused=refused,
                refused_at=refused_at,
            ),
            certificates=self._certificates,
            rules=self._rules(config, status),
            pulls=self._pulls(status, now),
            webhooks=tuple(
                WebhookFacts(each.name, each.to, each.failing_since, each.why, each.waiting, each.lost)
                for each in status.webhooks
                if each.why
            ),
        )

    def _rules(self, config: Config, status: NodeStatus) -> RulesFacts:
        rules = _rules(status)
        if status.replication is None:
            return rules
        if status.replication.last is not None and status.replication.last.complete:
            self._complete = rules.ended
        return replace(rules, complete=self._complete, every=config.replication.interval)

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
        )

    def _registry(self, host: str, status: RegistryStatus, config: Config, now: float) -> RegistryFacts:
        registry = config.registries[host]
        parents = [parent for group in status.parents for parent in group]
        return RegistryFacts(
            host,
            tuple(self._parent(parent, now) for parent in parents),
            max(registry.tags.offline_grace, registry.tags.stale_if_error),
            registry.credentials is not None,
        )

    def _parent(self, parent: ParentStatus, now: float) -> ParentFacts:
        name = parent_label(parent.url)
        return ParentFacts(
            name=name,
            url=parent.url,
            state=parent.state,
            since=now - parent.since_seconds if parent.since_seconds is not None else 0.0,
            why=_after_name(parent.why, name),
            again=now + parent.next_try_seconds if parent.next_try_seconds is not None else None,
            lies=self._rise("lies", name, _HOUR, parent.lies, now),
            clock_ahead=parent.clock_ahead_seconds,
        )

    def _store(self, config: Config, status: NodeStatus, now: float) -> StoreFacts:
        fault = status.store.fault or ""
        self._store_fault_since = (self._store_fault_since or now) if fault else 0.0
        return StoreFacts(
            where=config.store.folder or str(config.store),
            fault=fault,
            fault_since=self._store_fault_since,
            used=status.store.used_bytes or 0,
            quota=status.store.quota_bytes or 0,
            evicts=config.role == "site",
        )

    def _care(self, config: Config, status: NodeStatus, now: float) -> CareFacts:
        scrub = status.scrub
        age = scrub.age_seconds if scrub else None
        return CareFacts(
            rotten=self._rise("rotten", "", _DAY, _count(status, names.ROTTEN), now),
            repaired=self._rise("repaired", "", _DAY, _count(status, names.REPAIRED), now),
            scrubbed=now - age if age is not None else 0.0,
            scrub_every=config.scrub.every if scrub and config.scrub.rate and not scrub.budgeted else 0.0,
        )

    def _rise(self, what: str, subject: str, window: float, value: float, now: float) -> int:
        return self._lately.setdefault((what, subject), Lately(window)).rise(value, now)

    def _look_at_certificates(self) -> tuple[CertificateFacts, ...]:
        """In a thread: the file of the certificate for clients, against what it was when it was first read."""
        tls = self._config().listen.tls
        if tls is None:
            return ()
        try:
            ends = ends_at(Path(tls.certificate)).astimezone(UTC).timestamp()
        except (OSError, ValueError):
            return self._certificates
        served = self._served.setdefault(tls.certificate, ends)
        self._instruments.gauge(names.CERTIFICATE_EXPIRY, "clients").set(int(served))
        return (CertificateFacts(tls.certificate, served, newer=ends > served),)


def _after_name(why: str, name: str) -> str:
    """A cause as it is said after the parent's name, which it may begin with."""
    return why.removeprefix(name).removeprefix(":").strip()


def _count(status: NodeStatus, metric: names.Metric) -> float:
    value = status.counters.get(metric.name, 0)
    return float(value) if isinstance(value, int) else 0.0


def _labelled(status: NodeStatus, metric: names.Metric) -> Mapping[str, int]:
    value = status.counters.get(metric.name, {})
    return value if isinstance(value, Mapping) else {}


def _rules(status: NodeStatus) -> RulesFacts:
    replication = status.replication
    if replication is None:
        return RulesFacts()
    last = replication.last
    return RulesFacts(
        faults=tuple(replication.faults),
        faults_since=replication.faults_since,
        tags=last.tags if last else 0,
        held=last.held if last else 0,
        failed=last.failed if last else 0,
        troubles=tuple(last.troubles) if last else (),
        ended=last.ended if last else 0.0,
    )


def _tell(finding: Finding) -> None:
    level = logging.ERROR if finding.state is State.BROKEN else logging.WARNING
    fields = {"finding": finding.name, "subject": finding.subject, "next": finding.next}
    log.log(level, finding.sentence, extra={FIELDS: fields})
