"""Keeps the records of pulls of one process, and passes them on to parents."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from registry_mesh.assembly.sources.parents import Parents
from registry_mesh.config.checking.pulls import KEY_BYTES
from registry_mesh.config.pulls import Pulls
from registry_mesh.ports.failures import Failure, SourceDenied, StoreBroken
from registry_mesh.ports.pulls import Pull
from registry_mesh.pulls.ledger import Asked, Ledger, PullCount
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.upstream.pull_reports import report
from registry_mesh.upstream.session import ParentSession

log: Final = logging.getLogger(__name__)

FLUSH: Final = 10.0
"""Seconds for which counts stay in memory."""
REPORT: Final = 60.0
"""Seconds between two reports to parents."""
_DAY: Final = 86400.0
"""Seconds by which the clock of a node below may be ahead."""
AT_ONCE: Final = 5000
"""Records in a report: some 2 MB."""

_REPORTERS: Final = (
    "name in pulls.reporters of a parent what this node logs in as, or say pulls.report: false here"
)
_NONE_KEPT: Final = "keeps no records of pulls"
MARK: Final = "~"
"""What a pseudonym begins with, and no caller's name."""

Refusals = Mapping[str, Failure | None]
"""Why parents do not take records, by their names; None: they keep none."""

Take = Callable[[str], list[Pull]]
"""What was counted since the last time, as of a day."""


def day_of(now: float) -> str:
    """The day of a Unix time, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(now))


def pseudonym(key: bytes, who: str) -> str:
    """What stands for a caller: the same for the same name and key."""
    return MARK + hmac.new(key, who.encode(), hashlib.sha256).hexdigest()[:16]


class PullKeeping:
    """Implements `ports.pulls.PullRecords`. Nothing is kept where `pulls.file` is absent."""

    def __init__(
        self, pulls: Pulls, clock: Callable[[], float] = time.time, last: LastFiles | None = None
    ) -> None:
        """OSError, ValueError where the key for pseudonyms cannot be used; `last` knows what it was."""
        self._pulls = pulls
        self._clock = clock
        self._ledger = Ledger(pulls.file) if pulls.file else None
        self._key = _key(pulls.pseudonyms, last or LastFiles()) if pulls.pseudonyms else None
        self._waiting: list[Pull] = []
        self._broken = False
        self._untold = frozenset[str]()
        """Registries of whose parents none takes records."""

    @property
    def keeps(self) -> bool:
        """Whether pulls are recorded."""
        return self._ledger is not None

    async def take_over(self, pulls: Sequence[Pull]) -> None:
        """See `PullRecords`. Nodes below that have no key tell names: none is written down where there is one here.
        Days to come are not believed: what was pulled then would never count as unused, and not be forgotten."""
        last = day_of(self._clock() + _DAY)
        known = [self._named(pull) for pull in pulls if pull.day <= last]
        if len(known) < len(pulls):
            sites = sorted({pull.site for pull in pulls if pull.day > last})
            log.warning(
                "records of pulls of days to come were not taken", extra={FIELDS: {"sites": sites[:5]}}
            )
        if self._ledger is not None and known:
            await offload(self._ledger.replace, known)

    async def follow(self, take: Take) -> None:
        """Write down what was counted, for ever."""
        while self.keeps:
            await asyncio.sleep(FLUSH)
            await self.flush(take)

    async def flush(self, take: Take) -> None:
        """Write down what was counted; where that fails it is tried again with what comes next."""
        if self._ledger is None:
            return
        self._waiting += [self._named(pull) for pull in take(day_of(self._clock()))]
        if not self._waiting:
            return
        pulls, self._waiting = self._waiting, []
        # Cancelled, they are written all the same, and not once more.
        try:
            await offload(self._ledger.add, pulls)
        except StoreBroken as fault:
            self._tell(fault)
            self._waiting = pulls[-AT_ONCE:]
        else:
            self._broken = False

    def _named(self, pull: Pull) -> Pull:
        if self._key is None or pull.who.startswith(MARK):
            return pull
        return replace(pull, who=pseudonym(self._key, pull.who))

    def _tell(self, fault: StoreBroken) -> None:
        if not self._broken:
            log.error("records of pulls cannot be written", extra={FIELDS: {"why": fault.reason}})
        self._broken = True

    async def report(self, parents: Parents) -> None:
        """Pass records on, and forget old ones, for ever. For one process of a node."""
        while self._ledger is not None:
            await asyncio.sleep(REPORT)
            try:
                await offload(self._ledger.forget, day_of(self._clock() - self._pulls.keep))
                if self._pulls.report:
                    await self.pass_on(parents)
            except Failure as fault:
                log.info("records of pulls were not passed on", extra={FIELDS: {"why": fault.reason}})

    async def pass_on(self, parents: Parents) -> None:
        """Pass on what no parent has heard of: of each registry to the first of its parents that takes it."""
        for registry, groups in parents.groups.items():
            sessions = [each.session for group in groups for each in group if await _is_ours(each.session)]
            while self._ledger is not None and sessions:
                pulls = await offload(self._ledger.fresh, registry, AT_ONCE)
                if not pulls:
                    break
                refusals = await _refusals(sessions, pulls)
                self._tell_of(registry, refusals)
                if refusals:
                    break
                await offload(self._ledger.passed_on, pulls)

    def _tell_of(self, registry: str, refusals: Refusals) -> None:
        """Once, until it is otherwise: what is refused for good is missing above, and nothing else shows it here."""
        if refusals and registry not in self._untold:
            why = {name: str(fault.reason) if fault else _NONE_KEPT for name, fault in refusals.items()}
            denied = any(isinstance(fault, SourceDenied) for fault in refusals.values())
            fields = {"registry": registry, "why": why} | ({"next": _REPORTERS} if denied else {})
            level = logging.WARNING if denied else logging.INFO
            log.log(level, "no parent takes records of pulls: they wait here", extra={FIELDS: fields})
        elif not refusals and registry in self._untold:
            log.info("records of pulls are passed on again", extra={FIELDS: {"registry": registry}})
        self._untold = self._untold | {registry} if refusals else self._untold - {registry}

    # For the operator

    async def find(self, asked: Asked) -> list[Pull]:
        """Records, by what is asked. `who` is a name, or the pseudonym of one; of a name also those that were written
        down before there was a key."""
        if self._ledger is None:
            return []
        found = await offload(self._ledger.find, asked)
        if self._key is not None and asked.who and not asked.who.startswith(MARK):
            hidden = replace(asked, who=pseudonym(self._key, asked.who))
            found += await offload(self._ledger.find, hidden)
        return sorted(found, key=lambda pull: pull.day, reverse=True)

    async def counts(self, seconds: float) -> list[PullCount]:
        """How often manifests were pulled within the last `seconds`, in whole days of UTC, today among them."""
        if self._ledger is None:
            return []
        return await offload(self._ledger.counts, day_of(self._clock() - seconds))

    async def began(self) -> str:
        """See `Ledger`."""
        return await offload(self._ledger.began) if self._ledger is not None else ""

    async def last_days(self) -> dict[tuple[str, str, str, str], str]:
        """See `Ledger`. What nodes below fetch is no use of it: they report who pulled it of them."""
        if self._ledger is None:
            return {}
        nodes = self._pulls.reporters
        if self._key is not None:
            nodes = (*nodes, *(pseudonym(self._key, each) for each in nodes))
        return await offload(self._ledger.last_days, nodes)


def _key(file: str, last: LastFiles) -> bytes:
    def tell(fault: Exception) -> None:
        why = {"why": str(fault)}
        log.error("the key for pseudonyms cannot be read: the old one holds", extra={FIELDS: why})

    return last.read([file], lambda files: _good_key(files.data(file)), tell)


def _good_key(data: bytes) -> bytes:
    """Never an empty one, by which everybody could tell who is who."""
    if len(key := data.strip()) < KEY_BYTES:
        raise ValueError(f"it has {len(key)} bytes, and needs {KEY_BYTES}")
    return key


async def _is_ours(session: ParentSession) -> bool:
    """Whether it is known for a node of the mesh; one that was not asked yet is asked."""
    if session.mesh is None:
        await session.parent.answers()
    return bool(session.mesh)


async def _refusals(sessions: Sequence[ParentSession], pulls: Sequence[Pull]) -> Refusals:
    """Why none of them takes the pulls; empty where one has taken them."""
    why = dict[str, Failure | None]()
    for session in sessions:
        try:
            if await report(session, pulls):
                return {}
            why[session.name] = None
        except Failure as fault:
            why[session.name] = fault
    return why
