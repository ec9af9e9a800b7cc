"""Looks at a node again and again, and says what a person should know: to the log, the metrics, and the admin port."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from statistics import median
from typing import Final

from registry_mesh.admin.status import NodeStatus
from registry_mesh.assembly.supervision.told import Told
from registry_mesh.assembly.watch.known_facts import KnownFacts, parents_of
from registry_mesh.assembly.watch.learned import Learned
from registry_mesh.config.schema import Config
from registry_mesh.findings.decide import Held, decide
from registry_mesh.findings.facts import NodeFacts
from registry_mesh.findings.finding import NAMES, Finding, State
from registry_mesh.findings.outage import Outage, outage_of
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments, Table
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_LOOK: Final = 2.0
"""Seconds between two looks."""


class Lookout:
    """Of the node whose `status` it is given."""

    def __init__(
        self,
        config: Callable[[], Config],
        told: Told,
        status: Callable[[], NodeStatus],
        instruments: Instruments,
        table: Table,
        records: Callable[[], KeyedRecords | None],
    ) -> None:
        """`instruments`: its row of `table`. `records`: those of the node's store, None before it is open."""
        self._told = told
        self._status = status
        self._instruments = instruments
        self._held = Held()
        self._learned = Learned(config, told.path, records)
        self._facts = KnownFacts(config, told, table, self._learned)
        self.findings: list[Finding] = []
        self.outages: dict[str, Outage] = {}
        """By registry: those that have one."""

    def note_unserved(self, registry: str, client: str, at: float) -> None:
        """A client asked for a registry that is not served here."""
        self._facts.unserved.note(registry, client, at)

    def note_unkept(self, repository: str, digest: str, size: int, times: int, at: float) -> None:
        """A blob that is larger than the store passed through."""
        self._facts.unkept.note(repository, digest, size, times, at)

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            status = self._status()
            registries = status.registries
            answering = {
                host
                for host in registries
                if any(each.state == "up" for each in parents_of(registries[host]))
            }
            astray = any(
                "leads back" in parent.why for each in registries.values() for parent in parents_of(each)
            )
            await self._learned.learn(answering, places=astray)
            self.look(time.time(), status)
            await asyncio.sleep(_LOOK)

    def look(self, now: float, status: NodeStatus | None = None) -> None:
        """Look once, at `now` in seconds since the epoch, at `status`; None: at what is so now."""
        status = status or self._status()
        before = {(each.name, each.subject) for each in self.findings}
        facts = self._facts.at(now, status)
        self.findings = self._held.look(decide(facts, now), now)
        found = {registry.name: outage_of(registry) for registry in facts.registries}
        self.outages = {name: outage for name, outage in found.items() if outage}
        self._measure(facts)
        self._told.show(self.findings)
        for each in self.findings:
            if (each.name, each.subject) not in before:
                _tell(each)
        for gone, subject in sorted(before - {(each.name, each.subject) for each in self.findings}):
            log.info("no longer so", extra={FIELDS: {"finding": gone, "subject": subject}})
        for name, state in NAMES.items():
            count = sum(each.name == name for each in self.findings)
            self._instruments.gauge(names.FINDING, name, state.value).set(count)

    def _measure(self, facts: NodeFacts) -> None:
        """Show what findings are made from as gauges."""
        gauge = self._instruments.gauge
        for certificate in facts.certificates:
            gauge(names.CERTIFICATE_EXPIRY, certificate.listener).set(int(certificate.ends))
        for registry in facts.registries:
            outage = self.outages.get(registry.name)
            gauge(names.GRACE_ENDS, registry.name).set(int(outage.ends) if outage else 0)
        told = [each.clock_ahead for registry in facts.registries for each in registry.parents]
        ahead = [each for each in told if each is not None]
        middle = median(ahead) if ahead else 0.0
        gauge(names.CLOCK_OFFSET).set(round(middle * names.CLOCK_OFFSET.scale))


def _tell(finding: Finding) -> None:
    level = logging.ERROR if finding.state is State.BROKEN else logging.WARNING
    fields = {"finding": finding.name, "subject": finding.subject, "next": finding.next}
    log.log(level, finding.sentence, extra={FIELDS: fields})
