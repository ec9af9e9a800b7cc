"""What runs came to, the last of them, failed ones too: kept with the store, so that it outlives processes.

A run is noted when it begins: one that was killed is seen by its lack of an end, and said to be by the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final

from registry_mesh.content.snapshot.copying.progress import Meter, RuleProgress
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.ports.records import KeyedRecords

KEPT: Final = 100
"""Runs that are remembered."""
_SHOWN: Final = 20
"""Troubles and notes that are kept of one."""
_LONGEST: Final = 500
"""Characters of one of them."""
_KEY: Final = "receipts/runs.json"

KILLED: Final = "its process was killed"
STOPPED: Final = "stopped"
HANDED: Final = "its process was replaced (a reload); the new one goes on with it"
NEW_RULES: Final = "other rules came into force; they are run instead"
CUT: Final = frozenset({KILLED, STOPPED, HANDED, NEW_RULES})
"""What ends a run before its time though nothing is wrong with it: the next one goes on with it."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run; times in seconds since the epoch, sizes in bytes."""

    began: float
    trigger: str
    """`schedule`, `hand`, or `push` where a registry told of one."""
    ended: float | None = None
    """None: it is under way, or was killed (`why` says so once another has begun)."""
    complete: bool = False
    why: str = ""
    """What ended it before its time."""
    goes_on: float | None = None
    """When the run before began, which did not come to its end: this one goes on where that one was."""
    repositories: int = 0
    tags: int = 0
    held: int = 0
    switched: int = 0
    deleted: int = 0
    bytes: int = 0
    failed: int = 0
    troubles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rules: Mapping[str, RuleProgress] = field(default_factory=dict)

    def came_to(self, outcome: Outcome, now: float, rules: Mapping[str, RuleProgress]) -> Run:
        """The same, ended."""
        return replace(
            self,
            ended=now,
            complete=outcome.complete,
            repositories=outcome.repositories,
            tags=outcome.tags,
            held=outcome.held,
            switched=outcome.switched,
            deleted=outcome.deleted,
            bytes=outcome.size,
            failed=len(outcome.troubles),
            troubles=tuple(_cut(f"{each.what}: {each.why}") for each in outcome.troubles[:_SHOWN]),
            notes=tuple(map(_cut, outcome.notes[:_SHOWN])),
            rules=dict(rules),
        )

    def broke_off(self, why: str, now: float, so_far: Meter | None = None) -> Run:
        """The same, ended by `why`; `so_far`: how far it had come."""
        ended = replace(self, ended=now, why=why)
        if so_far is None:
            return ended
        return replace(
            ended,
            repositories=so_far.repositories,
            tags=so_far.tags,
            held=so_far.tags_done,
            bytes=so_far.size_done,
            failed=so_far.failed,
            rules=dict(so_far.rules),
        )

    @property
    def is_unfinished(self) -> bool:
        """Whether something ended it before its time that was no fault of what it brings."""
        return self.ended is None or self.why in CUT


_KEYS: Final = frozenset(each.name for each in fields(Run))


class RunHistory:
    """The last runs of one replica. One process at a time writes it: the one that runs."""

    def __init__(self, records: KeyedRecords) -> None:
        self._records = records
        self.runs: tuple[Run, ...] = ()
        """The oldest first, as they were read or noted last."""

    async def read(self) -> tuple[Run, ...]:
        """The oldest first; nothing where it cannot be read. `StoreBroken`."""
        try:
            told = json.loads(await self._records.get(_KEY) or b"[]")
            self.runs = tuple(_run(each) for each in told)
        except (ValueError, TypeError, AttributeError, KeyError):
            self.runs = ()
        return self.runs

    async def begin(self, run: Run) -> Run:
        """Note a run that begins, by the one process that may run; it goes on with the one before where that was
        cut off. Return it as it was noted. `StoreFull`, `StoreBroken`."""
        before = (await self.read())[-1:]
        if before and before[0].ended is None and not before[0].why:
            await self.note(replace(before[0], why=KILLED))
        if before and before[0].is_unfinished:
            run = replace(run, goes_on=before[0].began)
        await self.note(run)
        return run

    async def note(self, run: Run) -> None:
        """Keep a run, in the place of what is known of the same. `StoreFull`, `StoreBroken`."""
        others = [each for each in await self.read() if each.began != run.began]
        self.runs = (*others, run)[-KEPT:]
        await self._records.put(_KEY, json.dumps([asdict(each) for each in self.runs]).encode())


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _run(value: dict[str, object]) -> Run:
    """As `asdict` wrote it; what a newer version says besides is left out."""
    rules = value.pop("rules", {})
    known = Run(**{key: each for key, each in value.items() if key in _KEYS})  # type: ignore[arg-type]
    told = rules.items() if isinstance(rules, dict) else ()
    return replace(
        known,
        troubles=tuple(known.troubles),
        notes=tuple(known.notes),
        rules={str(name): RuleProgress(**_known(each)) for name, each in told},
    )


def _known(progress: dict[str, int]) -> dict[str, int]:
    return {each.name: progress.get(each.name, 0) for each in fields(RuleProgress)}
