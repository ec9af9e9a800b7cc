"""What the processes of a node tell each other in words: shared pages, made before the first fork."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from registry_mesh.auth.revoked import LIMIT
from registry_mesh.findings.causes import cause
from registry_mesh.findings.finding import Finding, worst_first
from registry_mesh.ports.cut_off import written
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.telemetry.events import EventRing
from registry_mesh.telemetry.note import Note

MOVING: Final = 512 << 10
"""Bytes in which a process says what moves."""

FILES: Final = 8 << 20
"""Bytes for what files said to a process, which take memory as they are used."""

ACCESS: Final = 32 << 20
"""Bytes for what access files say, which take memory as they are used: some 100,000 users."""

Shown = dict[str, Any]  # Any: JSON


@dataclass(slots=True)
class Told:
    """Findings, from the keeper to the workers; a configuration that was refused, from the supervisor to the keeper."""

    path: str = ""
    """The configuration's file, as it was given."""
    number: int = 1
    """Of the configuration in force, counted from the start of the node."""
    began: float = field(default_factory=time.time)
    """When the node did, whatever was reloaded or died since; seconds since the epoch."""
    loaded: float = field(default_factory=time.time)
    rows: int = 1
    """Processes that answer requests."""
    events: EventRing = field(init=False)
    _findings: Note = field(default_factory=Note)
    _read: tuple[str, list[Shown]] = ("", [])
    _refused: Note = field(default_factory=Note)
    revoked: Note = field(default_factory=lambda: Note(LIMIT))
    """The list of revoked credentials, from the worker that keeps it to the others."""

    _access: Note = field(default_factory=lambda: Note(ACCESS))
    _access_refused: Note = field(default_factory=Note)
    moving: Sequence[Note] = field(init=False)
    """What moves, from each worker to the keeper."""

    _files: Sequence[Note] = field(init=False)
    """What files said, from each process to the next in its seat; the last is the keeper's."""

    def __post_init__(self) -> None:
        self.events = EventRing(self.rows)
        self.moving = [Note(MOVING) for _ in range(self.rows)]
        self._files = [Note(FILES) for _ in range(self.rows + 1)]

    def last_files(self, row: int) -> LastFiles:
        """Of the process in that row, and those that were there before."""
        return LastFiles(self._files[row])

    def last_access(self, writes: bool) -> LastFiles:
        """What access files said, to all processes that answer requests. `writes`: see `LastFiles`."""
        return LastFiles(self._access, writes)

    def report(
        self, row: int, side: str, reason: str, subject: str, why: str, unserved: str = "", client: str = ""
    ) -> None:
        """In a worker: a request was not answered as asked. `unserved`: for want of this registry, of which `client`
        asked for something."""
        told = {"side": side, "reason": reason, "subject": subject[:300], "why": why[:300], "at": time.time()}
        if unserved:
            told |= {"unserved": unserved[:255], "client": client}
        self.events.write(row, told)

    def unkept(self, row: int, repository: str, digest: str, size: int, times: int) -> None:
        """In a worker: a blob that is larger than the store passed `times` times."""
        why = f"its {size} bytes are more than the store may hold: passed on, not kept"
        blob = {"digest": digest, "repository": repository[:500], "size": size, "times": times}
        told = {"side": "store", "reason": "full", "subject": f"{repository[:200]}@{digest}", "why": why}
        self.events.write(row, {**told, "at": time.time(), "unkept": blob})

    def refuse(self, faults: Sequence[str]) -> None:
        """In the supervisor: a configuration was refused for these; none: the one in force is the newest."""
        self._refused.write("\n".join([str(time.time()), *faults]) if faults else "")

    @property
    def refused(self) -> tuple[float, str]:
        """When and why a newer configuration was refused; the reason is empty where none was."""
        when, _, why = self._refused.read().partition("\n")
        return float(when or 0), why

    def refuse_access(self, faults: Sequence[str]) -> None:
        """In a worker: access files were refused for these; none: those in force are the newest."""
        since = self.access_refused[0] or time.time()
        self._access_refused.write("\n".join([str(since), *faults]) if faults else "")

    @property
    def access_refused(self) -> tuple[float, tuple[str, ...]]:
        """Since when newer access files are refused, and why; nothing where none are."""
        when, *faults = self._access_refused.read().split("\n")
        return float(when or 0), tuple(faults)

    def show(self, findings: Sequence[Finding]) -> None:
        """In the keeper: what is so now. Where there is no room for all, the worst."""
        told, room = list[str](), self._findings.room
        for each in worst_first(findings):
            told.append(json.dumps(asdict(each)))
            room -= len(told[-1]) + 2
            if room < 0:
                told.pop()
                break
        self._findings.write(f"[{', '.join(told)}]")

    def _shown(self) -> list[Shown]:
        """What the keeper shows, read anew only where it changed."""
        text = self._findings.read()
        if text is not self._read[0]:
            self._read = (text, json.loads(text or "[]"))
        return self._read[1]

    def cut_off(self, is_reached: Callable[[str], bool] = lambda _: False) -> str:
        """In a worker: what nodes below are told of registries of which no parent gives anything. `is_reached`: whether
        one does again, for a finding outlasts what it says."""
        offline = [each for each in self._shown() if each["name"] == "offline"]
        since = {registry: each["since"] for each in offline for registry in each["registries"]}
        return written({registry: when for registry, when in since.items() if not is_reached(registry)})

    def explain(self, side: str, reason: str, registry: str) -> dict[str, str] | None:
        """In a worker: what the operator is told of why a request for `registry` is not answered as asked."""
        found = cause(side, reason, registry, self._shown())
        return {key: found[key] for key in ("name", "sentence", "next")} if found is not None else None
