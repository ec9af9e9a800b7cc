"""What a node does by itself with what it stores, by its configuration."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from registry_mesh.assembly.runs.collection import collect_again_and_again, collects
from registry_mesh.assembly.runs.preloading import Preloader
from registry_mesh.assembly.runs.replicator import Replicator
from registry_mesh.assembly.runs.retention import RetentionRuns
from registry_mesh.assembly.runs.runs_shown import RunsShown
from registry_mesh.assembly.runs.scrubbing import Scrubber, scrubbed
from registry_mesh.assembly.sources.audited import Keep
from registry_mesh.assembly.sources.parents import Seen
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.webhooks import Couriers
from registry_mesh.config.schema import Config
from registry_mesh.ports.storage import Storage
from registry_mesh.repositories.journal import DocumentJournal
from registry_mesh.telemetry.instruments import Instruments

Run = Callable[[], Coroutine[Any, Any, None]]


class NodeRuns:
    """Entered: its `repeated` may be begun. What the configuration does not ask for is None."""

    def __init__(
        self, config: Config, storage: Storage, instruments: Instruments, seen: Seen, keep: Keep | None = None
    ) -> None:
        """`keep`: takes lines of the audit log."""
        self._config = config
        self._keep = keep or _nowhere
        self._storage = storage
        self._stack = AsyncExitStack()
        ruled, site = config.rules is not None, config.role == "site"
        self.preloader = Preloader(config, storage, instruments, seen) if ruled and site else None
        self.replicator = Replicator(config, storage, instruments, seen, keep) if ruled and not site else None
        self.scrubbers = [
            Scrubber(lambda: config, storage, what, instruments, seen) for what in scrubbed(config, storage)
        ]
        self.retention = RetentionRuns(lambda: config, storage, keep) if config.role == "origin" else None
        self.couriers = Couriers(config) if config.webhooks.receivers else None

    async def __aenter__(self) -> NodeRuns:
        if self.preloader is not None:
            await self._stack.enter_async_context(self.preloader)
        if self.replicator is not None:
            await self._stack.enter_async_context(self.replicator)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def repeated(self) -> list[Run]:
        """Each never ends."""
        is_kept = self._config.role == "origin" and self._config.pushes.read_only
        filling = None if is_kept else self.replicator
        runs = (filling, self.preloader, self.retention, *self.scrubbers)
        found: list[Run] = [each.repeat for each in runs if each is not None]
        if collects(self._config):
            found.append(self._collect)
        if self.couriers is not None:
            found.append(self._bring_events)
        return found

    def shown(self) -> RunsShown | None:
        """The runs of the rules by which this node brings something; None where none does."""
        if self.replicator is not None:
            return RunsShown(self.replicator.history, self.replicator.status)
        if self.preloader is not None:
            return RunsShown(self.preloader.history, self.preloader.under_way)
        return None

    def hand_over(self) -> None:
        """Leave what was not begun to the process that replaces this one."""
        for runs in (self.replicator, self.preloader):
            if runs is not None:
                runs.hand_over()

    def rule_faults(self) -> int | None:
        """How many rule files have faults; None without rules."""
        ruled = (self.replicator, self.preloader, self.retention)
        told = (each.status() for each in ruled if each is not None)
        faults = [len(each.faults) for each in told if each is not None]
        return sum(faults) if faults else None

    async def _collect(self) -> None:
        await collect_again_and_again(lambda: self._config, self._storage, self._keep)

    async def _bring_events(self) -> None:
        assert self.couriers is not None, "there are receivers"
        await self.couriers.follow(DocumentJournal(open_repositories(self._config, self._storage)))


def _nowhere(line: str) -> None:
    """There is no audit log."""
