"""One line in the log for each change of a parent's state, and of how it takes a login, whichever process of the node
saw it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from registry_mesh.ports.standing import Change, Standing, State, change
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.upstream.health.board import Board
from registry_mesh.upstream.health.welcome import Key, Welcome

log: Final = logging.getLogger(__name__)

_LOOK: Final = 0.25
"""Seconds between two looks."""

_SAID: Final = {
    State.DOWN: "a parent is down",
    State.SILENT: "a parent is silent",
    State.THROTTLED: "a parent asked for patience",
    State.UP: "a parent answers again",
    State.UNASKED: "a parent may be asked again",
}


class ParentLog:
    """Of the parents on `board`. One process of a node has it."""

    def __init__(self, board: Board) -> None:
        self._sheets = {name: board.sheet(name) for name in board.names}
        self._before: dict[str, Standing] = {}
        self._welcomes = {key: board.welcomes.sheet(*key) for key in board.welcomes.registries}
        self._registries = board.welcomes.registries
        self._refusing = set[Key]()

    async def follow(self) -> None:
        """Tell of changes, for ever."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK)

    def look(self) -> None:
        """Tell of what has changed since the last look."""
        now = time.monotonic()
        for name, sheet in self._sheets.items():
            standing = sheet.standing(now)
            before = self._before.get(name)
            told = change(name, before, standing) if before else None
            self._before[name] = standing
            if told:
                _tell(told, now)
        for key, each in self._welcomes.items():
            self._look_at_login(key, each.welcome())

    def _look_at_login(self, key: Key, welcome: Welcome) -> None:
        """Registries that have a parent in common may show it different logins: the line says whose it is about."""
        refuses = welcome.denied_since is not None
        if refuses == (key in self._refusing):
            return
        self._refusing ^= {key}
        fields = {"parent": key[0], "registries": list(self._registries[key])}
        if refuses:
            log.warning(
                "a parent refuses what this node shows it", extra={FIELDS: fields | {"why": welcome.error}}
            )
        else:
            log.info("a parent takes what this node shows it again", extra={FIELDS: fields})


def _tell(told: Change, now: float) -> None:
    standing, before = told.now, told.before
    well = standing.state in (State.UP, State.UNASKED)
    fields: dict[str, object] = {"parent": told.parent}
    if standing.why:
        fields["why"] = standing.why
    if standing.again is not None:
        fields["asked_again_in"] = round(max(0.0, standing.again - now), 1)
    if before.state not in (State.UP, State.UNASKED) and before.since is not None:
        fields["was"] = f"{before.state} for {now - before.since:.1f} s"
    if standing.latency is not None:
        fields["latency_ms"] = round(standing.latency * 1000, 1)
    log.log(logging.INFO if well else logging.WARNING, _SAID[standing.state], extra={FIELDS: fields})
