"""Revoked credentials of one node: taken down here, heard from parents, kept on disk, in force in every process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from registry_mesh.assembly.labels import own_record
from registry_mesh.assembly.sources.parents import Parents
from registry_mesh.auth.revoked import Revocations, parse_revoked, restore, save, written
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.tasks.together import ask_each
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.note import Note
from registry_mesh.upstream.revocations import fetch_revoked
from registry_mesh.upstream.session import ParentSession

log: Final = logging.getLogger(__name__)

EVERY: Final = 3.0
"""Seconds between two questions to a parent: so long, and a second, a revocation takes from tier to tier."""

PATIENCE: Final = 10.0
"""Seconds at most for the parents of one registry, in one round."""


class Asked(Protocol):
    """A parent as it is asked."""

    @property
    def session(self) -> ParentSession:
        """The way to it."""
        ...


class NodeRevocations:
    """`note` carries the list from the one process that keeps it to the others."""

    def __init__(self, node: str, note: Note, *, keeps: bool, clock: Callable[[], float] = time.time) -> None:
        self._key = own_record("revoked", node)
        self._note = note
        self._keeps = keeps
        self._clock = clock
        self._records: KeyedRecords | None = None
        self._state = self._kept = Revocations()
        self._fails = False
        self._writes = False
        self._tags: dict[tuple[str, str], str] = {}
        self._text = "{}"
        self._marks: frozenset[str] = frozenset()

    async def begin(self, records: KeyedRecords) -> None:
        """Before anybody asks: take up what was kept."""
        self._records = records
        try:
            kept = await records.get(self._key)
            self._state = self._kept = restore(kept) if kept is not None else Revocations()
        except (Failure, ValueError) as fault:
            log.error("revoked credentials cannot be read", extra={FIELDS: {"why": str(fault)}})
        self._show()

    @property
    def told(self) -> str:
        """The list, for nodes below."""
        self._read()
        return self._text

    @property
    def marks(self) -> frozenset[str]:
        """What is in force now."""
        self._read()
        return self._marks

    async def looked(self, marks: frozenset[str]) -> None:
        """The files of access have these credentials now."""
        if self._keeps:
            await self._become(self._state.looked(marks, self._clock()))

    async def follow(self, parents: Parents) -> None:
        """Ask parents for their lists, for ever. For the process that keeps."""
        while self._keeps:
            await asyncio.sleep(EVERY)
            await self.ask(parents)
            await self._keep()

    async def ask(self, parents: Parents) -> None:
        """Ask once, the parents of several registries side by side: one that hangs holds up no other."""
        await ask_each(self._ask_of, parents.groups.items())

    async def _ask_of(self, asked: tuple[str, Sequence[Sequence[Asked]]]) -> None:
        registry, groups = asked
        with suppress(TimeoutError):  # the next round asks again
            async with asyncio.timeout(PATIENCE):
                await self._hear(registry, [each.session for group in groups for each in group])

    async def _hear(self, registry: str, sessions: Sequence[ParentSession]) -> None:
        """Take the list of the first parent that answers; without one, what was heard last holds."""
        for session in sessions:
            try:
                if not await self._tells(session):
                    continue
                key = (registry, session.name)
                told = await fetch_revoked(session, self._tags.get(key, ""))
            except Failure as fault:
                log.debug(
                    "no revocations heard", extra={FIELDS: {"parent": session.name, "why": fault.reason}}
                )
                continue
            if told is not None:
                self._tags = {known: tag for known, tag in self._tags.items() if known[0] != registry}
                self._tags[key] = told.tag
                await self._become(self._state.heard(registry, told.revoked, self._clock()))
            return

    async def _tells(self, session: ParentSession) -> bool:
        """Whether it is a node of the mesh that is there to be asked. Where nothing was asked of it yet, that is found
        out only for the sake of credentials of our own."""
        if session.mesh is None and self._state.known:
            await session.parent.answers()
        return bool(session.mesh) and session.parent.available

    async def _become(self, state: Revocations) -> None:
        self._state = state
        self._show()
        await self._keep()

    async def _keep(self) -> None:
        """Write down what is known, until that is what was written last. While one does, others leave it to that."""
        if self._writes or self._records is None:
            return
        self._writes = True
        try:
            while (state := self._state) != self._kept:
                await self._records.put(self._key, save(state))
                self._kept, self._fails = state, False
        except Failure as fault:
            if not self._fails:
                log.warning("cannot keep revoked credentials", extra={FIELDS: {"why": fault.reason}})
            self._fails = True
        finally:
            self._writes = False

    def _show(self) -> None:
        """Have what is known now in force: in the process that keeps for all, else only until it says so."""
        text = written(self._state.told(self._clock()))
        if self._keeps and text != self._text:
            self._note.write(text)
        self._take(text)

    def _read(self) -> None:
        text = self._note.read()
        if text and text is not self._text and not self._keeps:
            self._take(text)

    def _take(self, text: str) -> None:
        if text != self._text:
            self._marks = frozenset(parse_revoked(text))
        self._text = text
