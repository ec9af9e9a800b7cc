"""Runs of an origin's rules over its own tags: one at a command, or again and again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from registry_mesh.admin.run_status import RetentionStatus, StoppedStatus
from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.runs.rules_in_force import RulesInForce
from registry_mesh.assembly.sources.audited import Keep, ran
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.schema import Config
from registry_mesh.content.snapshot.records.made_tags import MadeTags
from registry_mesh.content.snapshot.removing.retaining import Retained, Retaining
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.place import Place
from registry_mesh.ports.storage import Storage
from registry_mesh.replication.rules import Rules
from registry_mesh.repositories.dated import DatedRepositories
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

HEEDED: Final = frozenset({"note", "keep", "delete", "hold"})
"""Keys of rules that an origin obeys of its own tags."""
_KEPT: Final = "receipts/retention-rules.json"
_LOOK: Final = 60.0
"""Seconds between two looks whether runs were switched on."""
_SHOWN: Final = 20
"""Notes that the log tells of one run."""


def rules_of(config: Config, storage: Storage) -> RulesInForce:
    """The rules of `retention.rules`."""
    assert config.retention.rules is not None, "who asks has looked"
    return RulesInForce(config, storage.records, HEEDED, config.retention.rules, _KEPT)


async def retain(
    config: Config, storage: Storage, rules: Rules, *, dry_run: bool = False, keep: Keep | None = None
) -> Retained:
    """One run, while no other of this machine runs. `keep`: takes lines of the audit log."""
    assert config.registry is not None, "the checks demand it"
    own, now = RegistryName(config.registry), time.time()
    repositories = open_repositories(config, storage, keep=keep)
    async with storage.alone("replication", lambda owner: None):
        made = MadeTags(storage.records)
        await made.load()

        def stays(name: RepositoryName, tag: Tag) -> bool:
            """It never moves, or a rule that filled the origin with it promised to hold it."""
            one = made.all.get(Place(own, name), {}).get(tag)
            held = one is not None and (one.held_until or 0) > now
            return held or repositories.policy.is_immutable(name, tag)

        store = DatedRepositories(repositories)
        retaining = Retaining(rules, own, store, storage.records, stays, now)
        return await retaining.run(dry_run=dry_run)


class RetentionRuns:
    """Those of a node, and what came of the last."""

    def __init__(self, config: Callable[[], Config], storage: Storage, keep: Keep | None = None) -> None:
        self._config = config
        self._keep = keep
        self._storage = storage
        self._status = RetentionStatus()

    def status(self) -> RetentionStatus | None:
        """How the last run ended; None where there are no rules."""
        return self._status if self._config().retention.rules is not None else None

    async def repeat(self) -> None:
        """Never ends. The first run comes after one interval, give or take a tenth."""
        while True:
            loaded = self._config()
            if loaded.retention.rules is None or not loaded.retention.interval or loaded.pushes.read_only:
                await asyncio.sleep(_LOOK)
                continue
            await asyncio.sleep(loaded.retention.interval * random.uniform(0.9, 1.1))
            await self._run(self._config())

    async def _run(self, config: Config) -> None:
        rules, failed = rules_of(config, self._storage), ""
        try:
            in_force = await rules.read()
            for fault in rules.faults:
                log.warning(
                    "the retention rules are not taken: the last valid ones run", extra=_told(why=fault)
                )
            found = await retain(config, self._storage, in_force, keep=self._keep)
        except ConfigInvalid as invalid:
            log.error("there are no valid retention rules: nothing is deleted", extra=_told(why=str(invalid)))
            self._audit(config, "failed: there are no valid rules")
        except Failure as fault:
            failed = fault.reason
            log.warning("the retention run failed; the next goes on with it", extra=_told(why=failed))
            self._audit(config, f"failed: {failed}")
        else:
            _tell(found)
            self._audit(config, *found.done)
            self._note(rules.faults, found)
            return
        self._note(rules.faults, None, failed)

    def _audit(self, config: Config, *said: str) -> None:
        if self._keep is not None:
            self._keep(ran(config, "retention", node_name(config), *said))

    def _note(self, faults: Sequence[str], found: Retained | None, failed: str = "") -> None:
        """When faults began stays, as long as there are any."""
        now = time.time()
        stopped = found.stopped if found is not None else ()
        self._status = RetentionStatus(
            ended=now,
            repositories=found.repositories if found is not None else 0,
            deleted=found.deleted if found is not None else 0,
            faults=tuple(faults),
            faults_since=(self._status.faults_since or now) if faults else 0.0,
            stopped=[
                StoppedStatus(each.registry, each.deletes, each.tags, each.guard, each.plan)
                for each in stopped
            ],
            failed=failed,
        )


def _tell(found: Retained) -> None:
    for trouble in found.troubles:
        log.error("retention stopped", extra=_told(why=trouble))
    notes = list(found.notes[:_SHOWN])
    log.info("retained", extra=_told(repositories=found.repositories, deleted=found.deleted, notes=notes))


def _told(**said: object) -> dict[str, object]:
    return {FIELDS: said}
